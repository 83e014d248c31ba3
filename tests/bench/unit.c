/* One of the hundred files that the benchmark compiles: as small as a file of a real program gets. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key;
    long value;
    struct entry *next;
};

static unsigned hash_NUMBER(const char *text)
{
    unsigned hash = 5381 + NUMBER;
    for (; *text != 0; text++)
        hash = hash * 33 + (unsigned)tolower((unsigned char)*text);
    return hash % 64;
}

long add_NUMBER(struct entry *table[64], const char *key, long value)
{
    struct entry **at = &table[hash_NUMBER(key)];
    for (; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->key, key) == 0)
            return (*at)->value += value;
    *at = calloc(1, sizeof **at);
    if (*at == NULL || ((*at)->key = strdup(key)) == NULL)
        abort();
    return (*at)->value = value;
}

int print_NUMBER(struct entry *table[64], FILE *out)
{
    int lines = 0;
    for (int i = 0; i < 64; i++)
        for (const struct entry *e = table[i]; e != NULL; e = e->next)
            lines += fprintf(out, "%-20s %8ld\n", e->key, e->value) > 0;
    return lines;
}
