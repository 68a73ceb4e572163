-- +goose Up

-- Where a tenant wants its events sent. since is the number of the last event
-- when the endpoint was made: what came before is sent only when asked for. The
-- version tells the dispatchers that remember an endpoint that it changed, and
-- counts its test events.
CREATE TABLE endpoints (
    id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    outbound boolean NOT NULL DEFAULT false,
    url text NOT NULL,
    description text NOT NULL,
    events text[] NOT NULL,
    ordered boolean NOT NULL,
    concurrency integer NOT NULL CHECK (concurrency BETWEEN 1 AND 256),
    since bigint NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    disabled_at timestamptz,
    disabled_reason text NOT NULL DEFAULT '',
    failing_since timestamptz,
    failing_error text NOT NULL DEFAULT '',
    deleted_at timestamptz
);
CREATE INDEX endpoints_realm ON endpoints (tenant, environment, created_at, id) WHERE deleted_at IS NULL;
-- The surface that knows one endpoint for each tenant has at most one.
CREATE UNIQUE INDEX endpoints_outbound ON endpoints (tenant, environment) WHERE outbound AND deleted_at IS NULL;

-- The secrets an endpoint's deliveries are signed with, sealed. Old ones have an
-- end, the newest has none.
CREATE TABLE endpoint_secrets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES endpoints,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX endpoint_secrets_endpoint ON endpoint_secrets (endpoint_id, id);

-- What is still to be sent: one event for one endpoint. The table stays small,
-- since a delivery that is done moves to its history. attempt is the number of
-- the last attempt begun, which with the lease fences its outcome; rung is how
-- many have failed since it was queued.
CREATE TABLE deliveries (
    endpoint_id uuid NOT NULL REFERENCES endpoints,
    seq bigint NOT NULL,
    resource_id text NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    rung integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now(),
    lease uuid,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- An event is queued for an endpoint once, whoever fans it out.
    PRIMARY KEY (endpoint_id, seq),
    CHECK ((lease IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX deliveries_due ON deliveries (endpoint_id, due_at, seq) WHERE lease IS NULL;
CREATE INDEX deliveries_leased ON deliveries (lease) WHERE lease IS NOT NULL;
CREATE INDEX deliveries_resource ON deliveries (endpoint_id, resource_id, seq);

-- Deliveries that are done. A partition is one day; the default one takes what
-- no day was made for, and is empty while a daemon runs.
CREATE TABLE delivery_history (
    endpoint_id uuid NOT NULL,
    seq bigint NOT NULL,
    resource_id text NOT NULL,
    attempt integer NOT NULL,
    state text NOT NULL CHECK (state IN ('delivered', 'failed')),
    created_at timestamptz NOT NULL,
    done_at timestamptz NOT NULL
) PARTITION BY RANGE (done_at);
CREATE INDEX delivery_history_endpoint ON delivery_history (endpoint_id, seq);
CREATE TABLE delivery_history_rest PARTITION OF delivery_history DEFAULT;

-- Every try, also one whose outcome came too late to count. What was sent is
-- known from the event; status is 0 where no answer came.
CREATE TABLE attempts (
    endpoint_id uuid NOT NULL,
    seq bigint NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    took_ms bigint NOT NULL,
    url text NOT NULL,
    status integer NOT NULL,
    error text NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX attempts_delivery ON attempts (endpoint_id, seq, attempt);
CREATE TABLE attempts_rest PARTITION OF attempts DEFAULT;

-- Up to which event deliveries were queued. It moves in the statement that
-- queues them.
CREATE TABLE fanout (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
INSERT INTO fanout (position) SELECT last FROM sequencer;

-- The processes that send. What one of them holds is free again when it has not
-- been heard of for its time.
CREATE TABLE dispatchers (
    id uuid PRIMARY KEY,
    alive_until timestamptz NOT NULL
);
