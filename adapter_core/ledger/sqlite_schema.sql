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
CREATE TABLE entries (
	ordinal INTEGER NOT NULL,
	entry_id TEXT NOT NULL,
	org TEXT NOT NULL,
	case_id TEXT NOT NULL,
	entry TEXT NOT NULL,
	business_day TEXT NOT NULL,
	setl_time TEXT NOT NULL,
	booked_at TEXT NOT NULL,
	setl_id TEXT NOT NULL,
	msgid TEXT NOT NULL,
	kind TEXT NOT NULL,
	total_fen BIGINT NOT NULL,
	fund_fen BIGINT NOT NULL,
	account_fen BIGINT NOT NULL,
	acct_pay_fen BIGINT NOT NULL,
	cash_fen BIGINT NOT NULL,
	stands BOOLEAN NOT NULL,
	original_setl_id TEXT NOT NULL,
	mdtrt_id TEXT NOT NULL,
	insutype TEXT NOT NULL,
	clr_type TEXT NOT NULL,
	clr_way TEXT NOT NULL,
	clr_optins TEXT NOT NULL,
	med_type TEXT NOT NULL,
	insuplc_admdvs TEXT NOT NULL,
	scheme TEXT NOT NULL,
	operator TEXT NOT NULL,
	terminal TEXT NOT NULL,
	version BIGINT NOT NULL,
	way TEXT DEFAULT '' NOT NULL,
	PRIMARY KEY (ordinal),
	UNIQUE (entry_id)
);
CREATE INDEX entries_of_case ON entries (case_id);
CREATE INDEX entries_of_day ON entries (org, business_day);
CREATE INDEX entries_of_msgid ON entries (org, msgid);
CREATE INDEX entries_of_setl_id ON entries (org, setl_id);
CREATE INDEX entries_of_visit ON entries (org, mdtrt_id);
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
CREATE TABLE account_items (
	ordinal INTEGER NOT NULL,
	item_id TEXT NOT NULL,
	org TEXT NOT NULL,
	topic TEXT NOT NULL,
	subject TEXT NOT NULL,
	day TEXT NOT NULL,
	state TEXT NOT NULL,
	case_id TEXT NOT NULL,
	amount_fen BIGINT,
	due_at TEXT NOT NULL,
	opened_at TEXT NOT NULL,
	changed_at TEXT NOT NULL,
	version BIGINT NOT NULL,
	key_id BIGINT NOT NULL,
	sealed BLOB NOT NULL,
	PRIMARY KEY (ordinal),
	UNIQUE (item_id),
	FOREIGN KEY(key_id) REFERENCES data_keys (key_id)
);
CREATE INDEX account_items_of_day ON account_items (org, topic, day);
CREATE INDEX account_items_of_topic ON account_items (org, topic, state);
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
CREATE INDEX cases_by_opening ON cases (org, opened_at, ordinal, purpose, state, insuplc_admdvs, total_fen);
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
