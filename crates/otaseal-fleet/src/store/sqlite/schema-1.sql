-- The tables of otaseal-fleet. A change of them is a new file with the next number. This one is never changed.
--
-- Numbers of 64 bits without a sign are stored as the signed number with the same bits.

-- What is said of devices. What a filter asks for has an index.
CREATE TABLE devices (
  id INTEGER PRIMARY KEY,
  version_key BLOB,
  board_key TEXT NOT NULL,
  family INTEGER,
  mac INTEGER,
  standing INTEGER NOT NULL,
  source INTEGER NOT NULL,
  site TEXT NOT NULL,
  firmware TEXT,
  version TEXT,
  running INTEGER,
  name TEXT NOT NULL,
  chip_id TEXT,
  note TEXT NOT NULL,
  board TEXT,
  profile TEXT,
  md5 BLOB,
  sha256 BLOB,
  sketch_bytes INTEGER,
  free_bytes INTEGER,
  chip_bytes INTEGER,
  sdk TEXT,
  core_at_least TEXT,
  signal INTEGER,
  homie TEXT,
  said TEXT NOT NULL,
  first_seen INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_family ON devices (family);
CREATE INDEX devices_mac ON devices (mac);
CREATE INDEX devices_standing ON devices (standing);
CREATE INDEX devices_source ON devices (source);
CREATE INDEX devices_site ON devices (site);
CREATE INDEX devices_board ON devices (board_key);
CREATE INDEX devices_firmware ON devices (coalesce(firmware, ''));
CREATE INDEX devices_version ON devices (coalesce(version, ''));
CREATE INDEX devices_order ON devices (version_key) WHERE version_key IS NOT NULL;
CREATE INDEX devices_running ON devices (running);

-- What changes at each contact. Each device has a row.
CREATE TABLE contacts (
  device INTEGER PRIMARY KEY,
  last_seen INTEGER NOT NULL,
  interval BLOB NOT NULL,
  address TEXT
) STRICT;
CREATE INDEX contacts_seen ON contacts (last_seen);

-- Words of filters are looked for here: the folded name, and the folded address, site and tags, a line each.
CREATE TABLE finds (
  device INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  rest TEXT NOT NULL
) STRICT;

CREATE TABLE tags (
  device INTEGER NOT NULL,
  tag TEXT NOT NULL,
  PRIMARY KEY (device, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_tag ON tags (tag, device);

-- The last update of each device. A push by a person has the rollout -1.
CREATE TABLE updates (
  device INTEGER PRIMARY KEY,
  rollout INTEGER NOT NULL,
  release INTEGER NOT NULL,
  stage INTEGER NOT NULL,
  before_image INTEGER NOT NULL,
  before_version INTEGER NOT NULL,
  state INTEGER NOT NULL,
  why INTEGER NOT NULL,
  since INTEGER NOT NULL,
  deadline INTEGER,
  not_applied INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  network INTEGER NOT NULL,
  proofs INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  hour_from INTEGER NOT NULL,
  hour_whole INTEGER NOT NULL,
  day_from INTEGER NOT NULL,
  day_bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX updates_state ON updates (state, rollout);
CREATE INDEX updates_rollout ON updates (rollout);

-- The updates before, as they ended.
CREATE TABLE past_updates (
  device INTEGER NOT NULL,
  rollout INTEGER NOT NULL,
  release INTEGER NOT NULL,
  stage INTEGER NOT NULL,
  before_image INTEGER NOT NULL,
  before_version INTEGER NOT NULL,
  state INTEGER NOT NULL,
  why INTEGER NOT NULL,
  since INTEGER NOT NULL,
  deadline INTEGER,
  not_applied INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  network INTEGER NOT NULL,
  proofs INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  hour_from INTEGER NOT NULL,
  hour_whole INTEGER NOT NULL,
  day_from INTEGER NOT NULL,
  day_bytes INTEGER NOT NULL,
  PRIMARY KEY (device, rollout, release)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_updates_rollout ON past_updates (rollout, device);
CREATE INDEX past_updates_state ON past_updates (rollout, state, device);

CREATE TABLE events (
  number INTEGER PRIMARY KEY,
  device INTEGER NOT NULL,
  at INTEGER NOT NULL,
  code TEXT NOT NULL,
  text TEXT NOT NULL,
  rollout INTEGER
) STRICT;
CREATE INDEX events_device ON events (device, number, at);

CREATE TABLE releases (
  id INTEGER PRIMARY KEY,
  firmware TEXT NOT NULL,
  version TEXT NOT NULL,
  board TEXT,
  manifest TEXT NOT NULL,
  files TEXT NOT NULL,
  key_id TEXT,
  offered INTEGER NOT NULL,
  notes TEXT NOT NULL,
  support_until INTEGER,
  security INTEGER NOT NULL,
  by TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE rollouts (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  release INTEGER NOT NULL,
  plan TEXT NOT NULL,
  state TEXT NOT NULL,
  counts TEXT NOT NULL,
  places TEXT NOT NULL,
  by TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;

CREATE TABLE filters (
  name TEXT PRIMARY KEY,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  hash BLOB NOT NULL,
  scopes INTEGER NOT NULL,
  at INTEGER NOT NULL,
  expires INTEGER,
  revoked INTEGER
) STRICT;

CREATE TABLE audit (
  number INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  before TEXT NOT NULL,
  after TEXT NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit log only grows'); END;
