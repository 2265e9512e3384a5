-- Format 1. "{schema}" is put in by the engine.

CREATE TABLE {schema}.settings (
    format int NOT NULL,
    -- Families of keys from which something has been relied on; only ever more.
    guarded int[] NOT NULL
);
INSERT INTO {schema}.settings VALUES (1, '{}');

CREATE TABLE {schema}.rows (
    -- A key, or of a long one the beginning and a hash.
    place bytea PRIMARY KEY,
    -- What follows the beginning of a long key.
    rest bytea,
    value bytea NOT NULL
) WITH (
    -- Room on each page for new versions of its rows: they then need no new entry in the index.
    fillfactor = 90,
    -- A twentieth of the rows, not a fifth, may be dead before they are swept up: queues are written at one
    -- end and cleared at the other, and whoever reads one walks over what was cleared.
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.2,
    autovacuum_vacuum_cost_delay = 1
);
-- What is stored is sealed or small: compressing it costs time and saves nothing.
ALTER TABLE {schema}.rows ALTER value SET STORAGE EXTERNAL;

-- One row for each connection: the number of its newest commit, written by that commit. Whoever loses a
-- connection closes its session, which tells what became of the commit, and keeps it from still happening.
CREATE TABLE {schema}.sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    opened timestamptz NOT NULL DEFAULT now(),
    newest bigint NOT NULL DEFAULT 0,
    closed boolean NOT NULL DEFAULT false
) WITH (
    -- Written by every commit, always the same few rows: new versions stay on their page.
    fillfactor = 10,
    autovacuum_vacuum_threshold = 1000
);

-- A counter: what is stored, cut or zero-extended to eight bytes, little-endian.
CREATE FUNCTION {schema}.counter(stored bytea) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT get_byte(c, 0)::bigint | (get_byte(c, 1)::bigint << 8) | (get_byte(c, 2)::bigint << 16)
        | (get_byte(c, 3)::bigint << 24) | (get_byte(c, 4)::bigint << 32) | (get_byte(c, 5)::bigint << 40)
        | (get_byte(c, 6)::bigint << 48) | (get_byte(c, 7)::bigint << 56)
    FROM (VALUES (stored || '\x0000000000000000'::bytea)) AS extended(c)
$$;

-- Sum on a counter. It wraps, so it is made in halves: a sum of whole numbers would be refused.
CREATE FUNCTION {schema}.added(stored bytea, delta bigint) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    half constant bigint := 4294967295;
    present constant bigint := {schema}.counter(stored);
    low constant bigint := (present & half) + (delta & half);
    high constant bigint := ((present >> 32) & half) + ((delta >> 32) & half) + (low >> 32);
    big_endian constant bytea := int8send(((high & half) << 32) | (low & half));
BEGIN
    RETURN substr(big_endian, 8, 1) || substr(big_endian, 7, 1) || substr(big_endian, 6, 1)
        || substr(big_endian, 5, 1) || substr(big_endian, 4, 1) || substr(big_endian, 3, 1)
        || substr(big_endian, 2, 1) || substr(big_endian, 1, 1);
END $$;

-- One commit, in one statement of a READ COMMITTED transaction: each statement within sees what was committed
-- before it. Returns 0 if all is written (made durable by the end of the transaction); and with nothing written,
-- 1 if something relied on has changed, 2 if there are not as many guarded families as `guards`, 3 if the session
-- was closed.
CREATE FUNCTION {schema}.commit_1(
    session bigint, number bigint,
    -- Locks; see `locks.rs`.
    space int, alone boolean, guards int, new_guards int[], lock_numbers int[], lock_shared boolean[],
    -- What must be unchanged: rows by who wrote them or by their values (null: absent), ranges by how many rows
    -- they have.
    read_places bytea[], read_writers xid[],
    expected_places bytea[], expected_values bytea[],
    range_begins bytea[], range_ends bytea[], range_rows bigint[],
    -- What is written, in this order. Ranges by the places around them and by the exact keys.
    cleared_firsts bytea[], cleared_afters bytea[], cleared_begins bytea[], cleared_ends bytea[],
    cleared bytea[],
    set_places bytea[], set_rests bytea[], set_values bytea[],
    add_places bytea[], add_rests bytea[], add_deltas bigint[]
) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF alone THEN
        PERFORM pg_advisory_xact_lock(space, 0);
        IF cardinality(new_guards) > 0 THEN
            UPDATE {schema}.settings SET guarded = (SELECT array_agg(DISTINCT g) FROM unnest(guarded || new_guards) g);
        END IF;
    ELSE
        PERFORM pg_advisory_xact_lock_shared(space, 0);
        PERFORM CASE WHEN l.shared THEN pg_advisory_xact_lock_shared(space, l.number)
                ELSE pg_advisory_xact_lock(space, l.number) END
            FROM unnest(lock_numbers, lock_shared) AS l(number, shared);
        IF (SELECT cardinality(s.guarded) FROM {schema}.settings s) <> guards THEN
            RETURN 2;
        END IF;
    END IF;

    IF cardinality(read_places) > 0 THEN
        PERFORM FROM unnest(read_places, read_writers) AS p(place, writer)
            LEFT JOIN {schema}.rows r ON r.place = p.place
            WHERE r.xmin IS DISTINCT FROM p.writer LIMIT 1;
        IF FOUND THEN
            RETURN 1;
        END IF;
    END IF;
    IF cardinality(expected_places) > 0 THEN
        PERFORM FROM unnest(expected_places, expected_values) AS p(place, value)
            LEFT JOIN {schema}.rows r ON r.place = p.place
            WHERE r.value IS DISTINCT FROM p.value LIMIT 1;
        IF FOUND THEN
            RETURN 1;
        END IF;
    END IF;
    IF cardinality(range_begins) > 0 THEN
        PERFORM FROM unnest(range_begins, range_ends, range_rows) AS p(first, after, n)
            WHERE n <> (SELECT count(*) FROM {schema}.rows r WHERE r.place >= p.first AND r.place < p.after);
        IF FOUND THEN
            RETURN 1;
        END IF;
    END IF;

    UPDATE {schema}.sessions s SET newest = number WHERE s.id = session AND NOT s.closed;
    IF NOT FOUND THEN
        RETURN 3;
    END IF;

    IF cardinality(cleared_firsts) > 0 THEN
        DELETE FROM {schema}.rows r
            USING unnest(cleared_firsts, cleared_afters, cleared_begins, cleared_ends) AS c(first, after, lower, upper)
            WHERE r.place >= c.first AND r.place < c.after
                AND CASE WHEN r.rest IS NULL THEN r.place ELSE substr(r.place, 1, {beginning}) || r.rest END >= c.lower
                AND CASE WHEN r.rest IS NULL THEN r.place ELSE substr(r.place, 1, {beginning}) || r.rest END < c.upper;
    END IF;
    IF cardinality(cleared) > 0 THEN
        DELETE FROM {schema}.rows r USING unnest(cleared) AS c(place) WHERE r.place = c.place;
    END IF;
    IF cardinality(set_places) > 0 THEN
        INSERT INTO {schema}.rows (place, rest, value)
            SELECT w.place, w.rest, w.value FROM unnest(set_places, set_rests, set_values) AS w(place, rest, value)
            ON CONFLICT (place) DO UPDATE SET value = EXCLUDED.value;
    END IF;
    IF cardinality(add_places) > 0 THEN
        INSERT INTO {schema}.rows AS r (place, rest, value)
            SELECT a.place, a.rest, {schema}.added('', a.delta)
                FROM unnest(add_places, add_rests, add_deltas) AS a(place, rest, delta)
            -- The delta is the sum on nothing.
            ON CONFLICT (place) DO UPDATE SET value = {schema}.added(r.value, {schema}.counter(EXCLUDED.value));
    END IF;
    RETURN 0;
END $$;
