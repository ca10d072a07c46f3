/**
 * `spool:` of a report handler, and `settings.spool`.
 * **In**: both. **Out**: where the reports of a handler wait. **Fails**: with a finding for a spool on disk without a folder, or for a
 * handler that cannot use one.
 */
import { dirname, resolve } from 'node:path';
import type { Adapter } from '../../../adapters/contract.ts';
import { type Fields, fieldsOf } from '../../../yaml/fields.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { KEYS, RANGES, WORDS } from '../keys.ts';
import { type Node, nodeText } from '../../../yaml/nodes.ts';

/** `settings.spool`. */
export interface SpoolSettings {
  /** Absolute; each handler has a folder of its name in it. */
  readonly folder: string | undefined;
  /** Of one handler, in one worker. */
  readonly maxBytes: number;
  readonly maxAgeMs: number | undefined;
  readonly segmentBytes: number;
  /** Milliseconds between fdatasyncs; 0: before each append settles; Infinity: never. */
  readonly syncEveryMs: number;
}
export const DEFAULT_SPOOL: SpoolSettings = {
  folder: undefined,
  maxBytes: 1024 ** 3,
  maxAgeMs: undefined,
  segmentBytes: 16 * 1024 ** 2,
  syncEveryMs: 50,
};

export type HandlerSpool =
  | { readonly kind: 'memory' }
  | (SpoolSettings & {
      readonly kind: 'disk';
      readonly folder: string;
      readonly whenFull: 'block' | 'drop-oldest';
    });
export const IN_MEMORY: HandlerSpool = { kind: 'memory' };

const AGE_UNITS = ['s', 'm', 'h', 'd'] as const;

export function spoolSettings(fields: Fields | undefined, before: SpoolSettings, findings: Findings): SpoolSettings {
  if (fields === undefined) return before;
  fields.only(KEYS.settingsSpool);
  const folder = fields.text('folder');
  const place = fields.node('folder')?.place ?? fields.place;
  return {
    folder: folder === undefined ? before.folder : resolve(dirname(place.source.file), folder),
    maxBytes: fields.bytes('maxBytes', RANGES.spoolBytes) ?? before.maxBytes,
    segmentBytes: fields.bytes('segmentBytes', RANGES.spoolBytes) ?? before.segmentBytes,
    maxAgeMs: fields.durationMs('maxAge', AGE_UNITS, RANGES.spoolAge) ?? before.maxAgeMs,
    syncEveryMs: syncOf(fields, findings) ?? before.syncEveryMs,
  };
}

function syncOf(fields: Fields, findings: Findings): number | undefined {
  const node = fields.node('sync');
  if (node === undefined) return undefined;
  if (node.kind === 'scalar' && node.value === 'always') return 0;
  if (node.kind === 'scalar' && node.value === 'never') return Infinity;
  if (node.kind === 'scalar' && /^\d/.test(String(node.value)))
    return fields.durationMs('sync', ['ms', 's'], RANGES.sync);
  findings.error(
    'RULES_VALUE',
    node.place,
    `sync is ${nodeText(node)}; expected always, never, or a duration such as 50ms`,
  );
  return undefined;
}

/** `disk`, `memory`, or a map with `kind`. */
export function spoolOf(
  name: string,
  fields: Fields,
  adapter: Adapter,
  settings: SpoolSettings,
  findings: Findings,
): HandlerSpool {
  const node = fields.node('spool');
  if (node === undefined) return IN_MEMORY;
  const written = node.kind === 'map' ? ofMap(node, settings, findings) : ofWord(fields, settings);
  if (written === undefined) return IN_MEMORY;
  const problem = problemOf(name, adapter, written.kind === 'disk' && settings.folder === undefined);
  if (adapter.serves.report === undefined || (written.kind === 'disk' && problem !== undefined)) {
    // The folder may stand in settings with an error.
    if (problem === NO_FOLDER && findings.hasErrors) return IN_MEMORY;
    findings.error('RULES_SPOOL', node.place, problem ?? '');
    return IN_MEMORY;
  }
  return written.kind === 'memory' || settings.folder === undefined
    ? IN_MEMORY
    : { ...written, folder: resolve(settings.folder, name) };
}

type Written = { readonly kind: 'memory' } | Omit<Extract<HandlerSpool, { kind: 'disk' }>, 'folder'>;

function ofWord(fields: Fields, settings: SpoolSettings): Written | undefined {
  const kind = fields.word('spool', WORDS.spool);
  return kind === 'disk' ? { ...settings, kind, whenFull: 'block' } : kind === undefined ? undefined : { kind };
}

function ofMap(node: Node, settings: SpoolSettings, findings: Findings): Written | undefined {
  const map = fieldsOf(node, 'spool', findings)?.only(KEYS.spool);
  map?.required('kind', 'disk or memory');
  const kind = map?.word('kind', WORDS.spool);
  if (map === undefined || kind === undefined) return undefined;
  if (kind === 'memory') {
    map.only(KEYS.memorySpool);
    return { kind };
  }
  return {
    ...settings,
    kind,
    maxBytes: map.bytes('maxBytes', RANGES.spoolBytes) ?? settings.maxBytes,
    maxAgeMs: map.durationMs('maxAge', AGE_UNITS, RANGES.spoolAge) ?? settings.maxAgeMs,
    whenFull: map.word('whenFull', WORDS.whenFull) ?? 'block',
  };
}

const NO_FOLDER = 'a spool on disk needs a folder; write settings: { spool: { folder: /var/lib/sluice/spool } }';

function problemOf(name: string, adapter: Adapter, hasNoFolder: boolean): string | undefined {
  if (adapter.serves.report === undefined)
    return `${name} is a ${adapter.name}, which serves no reports; only reports are spooled, so remove spool`;
  if (adapter.serves.report.counts === true)
    return `${name} is a ${adapter.name}, which counts its entries in this process at once; entries from a disk would be counted twice after a restart, so remove spool`;
  return hasNoFolder ? NO_FOLDER : undefined;
}
