CREATE TABLE aliases (
	org TEXT NOT NULL,
	dialect TEXT NOT NULL,
	kind TEXT NOT NULL,
	blind BLOB NOT NULL,
	encounter_id TEXT NOT NULL,
	bill_id TEXT NOT NULL,
	case_id TEXT NOT NULL,
	note TEXT NOT NULL,
	PRIMARY KEY (org, dialect, kind, blind)
);
CREATE TABLE calls (
	ordinal INTEGER NOT NULL,
	call_id TEXT NOT NULL,
	org TEXT NOT NULL,
	msgid TEXT NOT NULL,
	step TEXT NOT NULL,
	message TEXT NOT NULL,
	kind_class TEXT NOT NULL,
	case_id TEXT NOT NULL,
	encounter_id TEXT NOT NULL,
	bill_id TEXT NOT NULL,
	body_hash TEXT NOT NULL,
	not_after TEXT NOT NULL,
	result TEXT NOT NULL,
	replied BOOLEAN NOT NULL,
	burnt BOOLEAN NOT NULL,
	version BIGINT NOT NULL,
	PRIMARY KEY (ordinal),
	CONSTRAINT msgid_once UNIQUE (org, msgid),
	UNIQUE (call_id)
);
CREATE INDEX calls_of_case ON calls (case_id);
CREATE TABLE data_keys (
	key_id INTEGER NOT NULL,
	day TEXT NOT NULL,
	wrapped BLOB NOT NULL,
	PRIMARY KEY (key_id),
	UNIQUE (day)
);
CREATE TABLE heads (
	org TEXT NOT NULL,
	seq BIGINT NOT NULL,
	hash BLOB NOT NULL,
	seal BLOB NOT NULL,
	used_sequence BIGINT NOT NULL,
	PRIMARY KEY (org)
);
CREATE TABLE meta (
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE nonces (
	key_id TEXT NOT NULL,
	nonce TEXT NOT NULL,
	until BIGINT NOT NULL,
	PRIMARY KEY (key_id, nonce)
);
CREATE INDEX nonces_by_end ON nonces (until);
CREATE TABLE search (
	ordinal INTEGER NOT NULL,
	kind TEXT NOT NULL,
	blind BLOB NOT NULL,
	case_id TEXT NOT NULL,
	PRIMARY KEY (ordinal),
	CONSTRAINT search_once UNIQUE (kind, blind, case_id)
);
CREATE TABLE bills (
	ordinal INTEGER NOT NULL,
	bill_id TEXT NOT NULL,
	org TEXT NOT NULL,
	encounter_id TEXT NOT NULL,
	visit_key TEXT NOT NULL,
	chrg_bchno TEXT NOT NULL,
	version BIGINT NOT NULL,
	is_open BOOLEAN NOT NULL,
	key_id BIGINT NOT NULL,
	sealed BLOB NOT NULL,
	PRIMARY KEY (ordinal),
	UNIQUE (bill_id),
	FOREIGN KEY(key_id) REFERENCES data_keys (key_id)
);
CREATE INDEX bills_of_encounter ON bills (encounter_id);
CREATE TABLE cases (
	ordinal INTEGER NOT NULL,
	case_id TEXT NOT NULL,
	org TEXT NOT NULL,
	purpose TEXT NOT NULL,
	"key" TEXT NOT NULL,
	visit_key TEXT NOT NULL,
	encounter_id TEXT NOT NULL,
	bill_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	dialect TEXT NOT NULL,
	state TEXT NOT NULL,
	request_hash TEXT NOT NULL,
	version BIGINT NOT NULL,
	epoch BIGINT NOT NULL,
	owner TEXT NOT NULL,
	wanted BOOLEAN NOT NULL,
	target_case_id TEXT NOT NULL,
	setl_id TEXT NOT NULL,
	insuplc_admdvs TEXT NOT NULL,
	total_fen BIGINT,
	fund_fen BIGINT,
	account_fen BIGINT,
	cash_fen BIGINT,
	opened_at TEXT NOT NULL,
	changed_at TEXT NOT NULL,
	due_at TEXT NOT NULL,
	holds_visit BOOLEAN NOT NULL,
	key_id BIGINT NOT NULL,
	sealed BLOB NOT NULL,
	PRIMARY KEY (ordinal),
	CONSTRAINT case_key_once UNIQUE (org, purpose, "key"),
	UNIQUE (case_id),
	FOREIGN KEY(key_id) REFERENCES data_keys (key_id)
);
CREATE INDEX cases_in_state ON cases (state);
CREATE INDEX cases_of_bill ON cases (bill_id);
CREATE UNIQUE INDEX one_holder_of_visit ON cases (org, visit_key) WHERE holds_visit;
CREATE TABLE encounters (
	ordinal INTEGER NOT NULL,
	encounter_id TEXT NOT NULL,
	org TEXT NOT NULL,
	encounter_key TEXT NOT NULL,
	kind TEXT NOT NULL,
	dialect TEXT NOT NULL,
	version BIGINT NOT NULL,
	mdtrt_id TEXT NOT NULL,
	key_id BIGINT NOT NULL,
	sealed BLOB NOT NULL,
	PRIMARY KEY (ordinal),
	CONSTRAINT encounter_key_once UNIQUE (org, encounter_key),
	UNIQUE (encounter_id),
	FOREIGN KEY(key_id) REFERENCES data_keys (key_id)
);
CREATE TABLE journal (
	org TEXT NOT NULL,
	seq BIGINT NOT NULL,
	at TEXT NOT NULL,
	kind TEXT NOT NULL,
	case_id TEXT NOT NULL,
	encounter_id TEXT NOT NULL,
	key_id BIGINT NOT NULL,
	sealed BLOB NOT NULL,
	hash BLOB NOT NULL,
	PRIMARY KEY (org, seq),
	FOREIGN KEY(key_id) REFERENCES data_keys (key_id)
);
CREATE INDEX journal_of_case ON journal (case_id, seq);
