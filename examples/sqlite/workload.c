/* SPDX-License-Identifier: MIT */
#include "workload.h"

#include "random.h"
#include "temporary.h"

#include <stdarg.h>

struct writer {
    const struct schema *schema;
    uint64_t *random;
    struct script *script;
};

__attribute__((format(printf, 2, 3))) static void add(struct script *script, const char *format, ...)
{
    va_list arguments;
    char *sql;

    va_start(arguments, format);
    sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (!sql || script->count == SCRIPT_STATEMENTS) fail(EXIT_RUN_FAILED, "no room for a statement");
    script->statements[script->count++] = sql;
}

static int below(struct writer *writer, int limit)
{
    return (int)random_below(writer->random, (uint64_t)limit);
}

static const struct schema_table *any_table(struct writer *writer)
{
    return &writer->schema->tables[below(writer, writer->schema->table_count)];
}

static const char *any_column(struct writer *writer, const struct schema_table *table)
{
    return table->column[below(writer, table->column_count)];
}

static long long any_rowid(struct writer *writer, const struct schema_table *table)
{
    uint64_t span = (uint64_t)table->rowid_max - (uint64_t)table->rowid_min + 1;

    return (long long)((uint64_t)table->rowid_min + random_below(writer->random, span));
}

static void add_notes(struct writer *writer, int rows)
{
    const struct schema_table *from = any_table(writer);

    add(writer->script,
        "INSERT INTO %s(origin,body) SELECT 'table %d', substr(CAST(%s AS TEXT),1,1000) FROM %s WHERE %s>=%lld "
        "ORDER BY %s LIMIT %d",
        writer->schema->tables[0].name, (int)(from - writer->schema->tables), any_column(writer, from), from->name,
        from->rowid, any_rowid(writer, from), from->rowid, rows);
}

static void add_copies(struct writer *writer, int64_t bytes)
{
    const struct schema_table *table = any_table(writer);
    int rows = (int)(bytes / table->row_bytes > 2000 ? 2000 : bytes / table->row_bytes + 1);

    if (table->no_copies)
        add_notes(writer, 4);
    else
        add(writer->script, "INSERT INTO %s(%s) SELECT %s FROM %s WHERE %s>=%lld ORDER BY %s LIMIT %d", table->name,
            table->columns, table->columns, table->name, table->rowid, any_rowid(writer, table), table->rowid, rows);
}

static void add_change(struct writer *writer)
{
    const struct schema_table *table = any_table(writer);
    const char *column = any_column(writer, table);

    if (table->no_copies)
        add_notes(writer, 4);
    else
        add(writer->script,
            "UPDATE %s SET %s=(SELECT %s FROM %s WHERE %s>=%lld ORDER BY %s LIMIT 1) WHERE %s IN "
            "(SELECT %s FROM %s WHERE %s>=%lld ORDER BY %s LIMIT %d)",
            table->name, column, column, table->name, table->rowid, any_rowid(writer, table), table->rowid,
            table->rowid, table->rowid, table->name, table->rowid, any_rowid(writer, table), table->rowid,
            1 + below(writer, 4));
}

static void add_deletion(struct writer *writer)
{
    const struct schema_table *table = any_table(writer);

    add(writer->script, "DELETE FROM %s WHERE %s IN (SELECT %s FROM %s WHERE %s>=%lld ORDER BY %s LIMIT %d)",
        table->name, table->rowid, table->rowid, table->name, table->rowid, any_rowid(writer, table), table->rowid,
        1 + below(writer, 3));
}

static void add_text(struct writer *writer, int rows)
{
    const char *text = writer->schema->text;
    const struct schema_table *from = any_table(writer);
    long long rowid = (long long)random_below(writer->random, (uint64_t)writer->schema->text_rows + 1);

    if (!text)
        add_notes(writer, rows);
    else if (rows == 1 && below(writer, 2))
        add(writer->script, "DELETE FROM %s WHERE rowid IN (SELECT rowid FROM %s WHERE rowid>=%lld LIMIT 2)", text,
            text, rowid);
    else if (rows == 1)
        add(writer->script, "UPDATE %s SET body='again '||body WHERE rowid=%lld", text, rowid);
    else
        add(writer->script,
            "INSERT INTO %s(body) SELECT substr(CAST(%s AS TEXT),1,2000) FROM %s WHERE %s>=%lld ORDER BY %s "
            "LIMIT %d",
            text, any_column(writer, from), from->name, from->rowid, any_rowid(writer, from), from->rowid, rows);
}

static void add_query(struct writer *writer)
{
    static const char *const words[] = {"license", "struct", "file", "copyright", "linux",  "version",
                                        "include", "return", "data", "const",     "Debian", "again"};
    const struct schema_table *table = any_table(writer);
    const char *column = any_column(writer, table);
    long long rowid = any_rowid(writer, table);

    switch (below(writer, 16)) {
    case 0: /* everything in one table */
        add(writer->script, "SELECT count(*), total(length(%s)) FROM %s", column, table->name);
        break;
    case 1: /* by an index where the image has one */
        add(writer->script,
            "SELECT %s FROM %s WHERE %s>=(SELECT %s FROM %s WHERE %s>=%lld ORDER BY %s LIMIT 1) ORDER BY %s LIMIT 8",
            column, table->name, column, column, table->name, table->rowid, rowid, table->rowid, column);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        if (writer->schema->text) {
            add(writer->script, "SELECT count(*), max(rowid) FROM %s WHERE %s MATCH '%s'", writer->schema->text,
                writer->schema->text, words[below(writer, 12)]);
            break;
        }
        /* fall through */
    default:
        add(writer->script, "SELECT %s, %s FROM %s WHERE %s>=%lld ORDER BY %s LIMIT %d", table->rowid, table->columns,
            table->name, table->rowid, rowid, table->rowid, 1 + below(writer, 40));
    }
}

static void add_growth(struct writer *writer)
{
    int64_t bytes = writer->schema->image_bytes / 128;

    if (bytes > 200 << 10) bytes = 200 << 10;
    if (bytes < 8 << 10) bytes = 8 << 10;
    /* Made from nothing, because an image's own tables may refuse copies. */
    add(writer->script,
        "INSERT INTO %s(origin,body) WITH RECURSIVE line(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM line LIMIT %d) "
        "SELECT 'growth', printf('line %%0700d of %lld',n) FROM line",
        writer->schema->tables[0].name, (int)(bytes / 700), (long long)random_below(writer->random, 1u << 30));
    add_copies(writer, bytes);
    add_text(writer, (int)(bytes / 10000) + 2);
}

void workload_setup(const struct schema *schema, struct script *script)
{
    uint64_t random = 0;
    struct writer writer = {schema, &random, script};
    const char *name = schema->tables[0].name;

    *script = (struct script){0};
    add(script, "BEGIN");
    add(script, "CREATE TABLE %s(id INTEGER PRIMARY KEY, origin TEXT, body TEXT)", name);
    add(script, "CREATE INDEX %s_origin ON %s(origin)", name, name);
    if (schema->text && !schema->text_exists)
        add(script, "CREATE VIRTUAL TABLE %s USING %s(body)", schema->text, schema->module);
    for (int i = 0; i < 6; i++) {
        add_notes(&writer, 60);
        add_text(&writer, 15);
    }
    add(script, "COMMIT");
}

void workload_transaction(const struct schema *schema, uint64_t *random, enum workload_size size, struct script *script)
{
    struct writer writer = {schema, random, script};
    int steps = 4 + below(&writer, 6);
    bool keep = size == WORKLOAD_GROW || below(&writer, 8) != 0;

    *script = (struct script){0};
    add_query(&writer);
    add(script, "BEGIN");
    if (size == WORKLOAD_GROW) add_growth(&writer);
    for (int i = 0; i < steps; i++) {
        switch (below(&writer, 8)) {
        case 0:
            add_notes(&writer, 1 + below(&writer, 6));
            break;
        case 1:
            add_copies(&writer, 2000);
            break;
        case 2:
        case 3:
            add_change(&writer);
            break;
        case 4:
            add_deletion(&writer);
            break;
        case 5:
            add_text(&writer, 1 + below(&writer, 4));
            break;
        default:
            add_query(&writer);
        }
    }
    add(script, keep ? "COMMIT" : "ROLLBACK");
    add_query(&writer);
}

void script_fini(struct script *script)
{
    for (int i = 0; i < script->count; i++) sqlite3_free(script->statements[i]);
    script->count = 0;
}
