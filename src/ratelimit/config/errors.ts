/** Findings of limit files. docs/errors.md is generated from this table. */
export const RATELIMIT_ERRORS = {
  RATELIMIT_YAML: {
    means: 'The file is not YAML, or not text in UTF-8.',
    fix: 'Correct the syntax at the place shown. Quote values that begin with {, [, *, &, !, % or @.',
  },
  RATELIMIT_FILE: {
    means: 'A file or folder of the runtime root cannot be read.',
    fix: 'See that RUNTIME_ROOT, RUNTIME_SUBDIRECTORY and RUNTIME_APPDIRECTORY name a folder that this user may read.',
  },
  RATELIMIT_UNKNOWN_KEY: {
    means: 'A key is unknown.',
    fix: 'Correct its spelling; docs/ratelimit.md lists the keys.',
  },
  RATELIMIT_KEY_TYPE: {
    means: 'A key is not text, or a list has an item that is not a map.',
    fix: 'Quote the key, or write a map: `- key: user`.',
  },
  RATELIMIT_VALUE_TYPE: {
    means: 'A value has the wrong type for its key.',
    fix: 'Write it as the message says: numbers and booleans without quotes, numbers with a point in quotes.',
  },
  RATELIMIT_EMPTY_DOMAIN: {
    means: 'The file has no domain.',
    fix: "Write `domain: NAME`, the domain that Envoy's filter sends.",
  },
  RATELIMIT_DUPLICATE_DOMAIN: {
    means: 'Two files have the same domain.',
    fix: 'Put their descriptors in one file, or set MERGE_DOMAIN_CONFIG=true.',
  },
  RATELIMIT_EMPTY_KEY: {
    means: 'A descriptor has no key.',
    fix: "Write `key: NAME`, the key that Envoy's action sends.",
  },
  RATELIMIT_DUPLICATE_KEY: {
    means: 'Two descriptors at one level have the same key and value.',
    fix: 'Keep one of them, with the descriptors of both below it.',
  },
  RATELIMIT_UNIT: {
    means: 'A unit of time is unknown.',
    fix: 'Write second, minute, hour, day, week, month (30 days) or year (365 days).',
  },
  RATELIMIT_UNLIMITED: {
    means: 'A limit has both `unlimited` and a unit.',
    fix: 'Take `unit` away, or `unlimited`.',
  },
  RATELIMIT_REPLACES: {
    means: 'An entry of `replaces` is empty or names its own limit.',
    fix: 'Name the limit that is replaced: `replaces: [{ name: OTHER }]`.',
  },
  RATELIMIT_SHARE_THRESHOLD: {
    means: '`share_threshold` is set on a descriptor without a `*`.',
    fix: 'Use it on a descriptor whose value has a `*`.',
  },
  RATELIMIT_SLUICE: {
    means: 'A setting under `sluice` is wrong.',
    fix: 'Correct it as the message says; docs/ratelimit.md shows outage, algorithm, per, zone, burst, ended_by and also.',
  },
  RATELIMIT_FURTHER_DOCUMENT: {
    means: 'A file has several documents; only the first is read, as in envoyproxy/ratelimit.',
    fix: 'Put each further document into a file of its own.',
  },
  RATELIMIT_REPEATED_KEY: {
    means:
      'A key is repeated in one map, or `<<` merges it again; the later one is in force, as in envoyproxy/ratelimit.',
    fix: 'Keep one of them; put `<<` before the keys that replace its own.',
  },
  RATELIMIT_NO_AMOUNT: {
    means: 'A limit has no `requests_per_unit`, which means 0, as in envoyproxy/ratelimit: every request is over it.',
    fix: 'Write `requests_per_unit`, also where 0 is meant.',
  },
  RATELIMIT_MISPLACED_KEY: {
    means: 'A known key has no meaning in this place; it is ignored, as in envoyproxy/ratelimit.',
    fix: 'Move it to where it belongs, or take it away.',
  },
} as const;

export type RatelimitErrorCode = keyof typeof RATELIMIT_ERRORS;
