-- +goose Up

-- What sources together said an asset was worth, as of the oldest of what they
-- said. A pair has one price of one moment, which is never changed. The rate is
-- its digits and how many of them stand after the point. until is how long
-- somebody stood for it; thin says that one source alone did.
CREATE TABLE prices (
    base text NOT NULL,
    quote text NOT NULL,
    as_of timestamptz NOT NULL,
    rate numeric NOT NULL CHECK (rate > 0),
    decimals integer NOT NULL CHECK (decimals >= 0),
    until timestamptz NOT NULL,
    sources text[] NOT NULL,
    thin boolean NOT NULL,
    read_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (base, quote, as_of),
    CHECK (base <> quote),
    CHECK (until >= as_of)
);

-- When a group of sources was last claimed to be read: of many daemons one reads.
-- It fences nothing, since a reading that is made twice writes the same.
CREATE TABLE price_readings (
    name text PRIMARY KEY,
    claimed_at timestamptz NOT NULL
);

-- The last block before a time, for what an account held then.
CREATE INDEX blocks_time ON blocks (chain, time DESC) WHERE canonical;
