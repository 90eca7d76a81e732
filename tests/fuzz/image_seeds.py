#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small SQLite images for fuzz_image, one for each kind of database that the example treats in a way of its own."""
import argparse
import os
import sqlite3
import sys

ROWS = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n LIMIT {}) "

# name: (pragmas before anything is there, statements)
SEEDS = {
    "plain": ("page_size=512", [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT)",
        "INSERT INTO t(a,b) " + ROWS.format(20) + "SELECT 'row '||i, i*i FROM n"]),
    "index": ("page_size=512", [
        "CREATE TABLE t(a TEXT, b INT UNIQUE)", "CREATE INDEX t_a ON t(a) WHERE b>3",
        "INSERT INTO t " + ROWS.format(12) + "SELECT 'row '||(i%5), i FROM n"]),
    "overflow": ("page_size=512", [
        "CREATE TABLE t(a BLOB)", "INSERT INTO t VALUES(zeroblob(3000)),('x')"]),
    "without_rowid": ("page_size=1024", [
        "CREATE TABLE t(a TEXT PRIMARY KEY, b) WITHOUT ROWID", "INSERT INTO t VALUES('k',1),('l',2)",
        "CREATE TABLE u(rowid INT, _rowid_ INT, oid INT)", "INSERT INTO u VALUES(1,2,3)"]),
    "generated": ("page_size=1024", [
        "CREATE TABLE t(a INT, b INT AS (a*2) STORED, c TEXT AS (a||'x'), CHECK(a<1000))",
        "INSERT INTO t(a) VALUES(1),(2),(3)", "CREATE VIEW v AS SELECT * FROM t",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t WHERE a=new.a+1; END"]),
    "random_default": ("page_size=1024", [
        "CREATE TABLE t(a INT DEFAULT (random()), b TEXT COLLATE NOCASE, c REAL)", "INSERT INTO t(b,c) VALUES('z',1.5),(NULL,-0.0)"]),
    "top_rowid": ("page_size=512", [
        "CREATE TABLE t(a)", "INSERT INTO t(rowid,a) VALUES(9223372036854775807,'last'),(-9223372036854775808,'first')"]),
    "names": ("page_size=1024", [
        'CREATE TABLE "a ""b""; --"("c d" INT, "é" TEXT)', 'INSERT INTO "a ""b""; --" VALUES(1,\'x\')',
        "CREATE TABLE branch_note(x)", "INSERT INTO branch_note VALUES(1)"]),
    "utf16": ("page_size=1024; PRAGMA encoding='UTF-16le'", ["CREATE TABLE t(a TEXT)", "INSERT INTO t VALUES('wide')"]),
    "vacuum": ("page_size=512; PRAGMA auto_vacuum=FULL", [
        "CREATE TABLE t(a BLOB)", "INSERT INTO t VALUES(zeroblob(900)),(zeroblob(900))", "DELETE FROM t WHERE rowid=1"]),
    "freelist": ("page_size=512", ["CREATE TABLE t(a BLOB)", "INSERT INTO t VALUES(zeroblob(2500)),('y')", "DELETE FROM t WHERE rowid=1"]),
    "full_text": ("page_size=1024", [
        "CREATE VIRTUAL TABLE t USING fts4(body)", "INSERT INTO t VALUES('some words of a text'),('and others')"]),
    "empty": ("page_size=512", ["CREATE TABLE t(a)", "DROP TABLE t"]),
}


def build(path, pragmas, statements):
    if os.path.exists(path):
        os.remove(path)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=MEMORY")
    for pragma in pragmas.split("; "):
        db.execute(pragma if pragma.startswith("PRAGMA") else "PRAGMA " + pragma)
    for statement in statements:
        db.execute(statement)
    db.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", help="where the images go, as seed-NAME")
    folder = parser.parse_args().directory
    if not os.path.isdir(folder):
        print(f"image_seeds.py: {folder} is no directory", file=sys.stderr)
        return 2
    for name, (pragmas, statements) in SEEDS.items():
        build(os.path.join(folder, "seed-" + name), pragmas, statements)
    with open(os.path.join(folder, "seed-plain"), "rb") as file:
        plain = bytearray(file.read())
    plain[18:20] = b"\x02\x02"  # says WAL
    with open(os.path.join(folder, "seed-wal"), "wb") as file:
        file.write(plain)
    with open(os.path.join(folder, "seed-truncated"), "wb") as file:
        file.write(plain[:-512])
    return 0


if __name__ == "__main__":
    sys.exit(main())
