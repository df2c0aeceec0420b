-- The tables of a Bako database that concern us, as the migrations of Bako's API leave them in
-- PostgreSQL: types, what may be null, constraints and indexes. Tests on PostgreSQL run on these,
-- not on tables of our own making. (One liberty: gen_random_uuid needs no extension.)

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_at timestamp NOT NULL,
    updated_at timestamp,
    deleted_at timestamp,
    provider varchar NOT NULL,
    name varchar UNIQUE,
    active boolean DEFAULT true,
    email varchar,
    address varchar NOT NULL UNIQUE,
    avatar varchar,
    first_login boolean NOT NULL DEFAULT true,
    notify boolean NOT NULL DEFAULT false,
    webauthn jsonb,
    type varchar NOT NULL,
    settings jsonb NOT NULL DEFAULT '{"inactivesPredicates": []}'
);

CREATE TABLE workspace (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar NOT NULL,
    description text,
    permissions json NOT NULL,
    avatar varchar,
    owner_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamp NOT NULL,
    updated_at timestamp,
    deleted_at timestamp,
    single boolean NOT NULL
);

CREATE TABLE workspace_users (
    workspace_id uuid NOT NULL REFERENCES workspace (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE predicates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar NOT NULL,
    predicate_address varchar NOT NULL,
    description varchar,
    configurable varchar NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp,
    deleted_at timestamp,
    owner_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    workspace_id uuid REFERENCES workspace (id) ON DELETE CASCADE,
    root boolean DEFAULT false,
    version varchar NOT NULL DEFAULT '0x00'
);

CREATE TABLE predicate_members (
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    predicate_id uuid NOT NULL REFERENCES predicates (id) ON DELETE CASCADE
);

CREATE TABLE transactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    predicate_id uuid NOT NULL REFERENCES predicates (id) ON DELETE CASCADE,
    name varchar NOT NULL,
    hash varchar NOT NULL,
    tx_data jsonb NOT NULL,
    status varchar NOT NULL,
    "sendTime" timestamp,
    "gasUsed" varchar,
    resume jsonb NOT NULL,
    created_at timestamp NOT NULL,
    updated_at timestamp,
    deleted_at timestamp,
    created_by uuid REFERENCES users (id) ON DELETE CASCADE,
    summary jsonb,
    type varchar NOT NULL DEFAULT 'TRANSACTION_SCRIPT',
    network jsonb,
    retry_attempts jsonb DEFAULT '[]'
);

CREATE TABLE user_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token varchar NOT NULL,
    user_id uuid NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamp NOT NULL,
    updated_at timestamp,
    deleted_at timestamp,
    expired_at timestamp,
    encoder varchar NOT NULL,
    payload text NOT NULL,
    workspace_id uuid NOT NULL REFERENCES workspace (id) ON DELETE CASCADE,
    network jsonb
);

CREATE INDEX idx_predicate_members_user ON predicate_members (user_id);
CREATE INDEX idx_predicates_owner ON predicates (owner_id);
CREATE INDEX idx_predicates_predicate_address ON predicates (predicate_address);
CREATE INDEX idx_predicates_workspace ON predicates (workspace_id);
CREATE INDEX idx_predicates_workspace_id ON predicates (workspace_id);
CREATE INDEX idx_transactions_created_by ON transactions (created_by);
CREATE INDEX idx_transactions_network_chainid ON transactions ((network ->> 'chainId'));
CREATE INDEX idx_transactions_network_url ON transactions ((network ->> 'url'));
CREATE INDEX idx_transactions_pending ON transactions (predicate_id)
    WHERE status = 'await_requirements';
CREATE INDEX idx_transactions_predicate_status ON transactions (predicate_id, status);
CREATE INDEX idx_users_address ON users (address);

-- Bako's own record of its migrations: ours must never meet it.
CREATE TABLE migrations (
    id serial PRIMARY KEY,
    "timestamp" bigint NOT NULL,
    name varchar NOT NULL
);
INSERT INTO migrations ("timestamp", name)
VALUES (1764300000000, 'AddRetryAttemptsToTransactions1764300000000');
