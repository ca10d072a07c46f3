/**
 * **In**: the expected and the observed result of a call. **Out**: the differences, one sentence each.
 * Only what the case names is compared.
 */
import { isDeepStrictEqual } from 'node:util';
import type { NetHeaders } from '../../core/call.ts';
import type { Want, WantCheck, WantLimit, WantLog } from './schema.ts';
import type { Observed, ObservedCheck, ObservedLimit, ObservedLog, ObservedReport } from './observed.ts';

export function differences(want: Want, seen: Observed): string[] {
  switch (seen.kind) {
    case 'check':
      return checkDifferences(want as WantCheck, seen);
    case 'limit':
      return limitDifferences(want as WantLimit, seen);
    case 'log':
      return logDifferences(want as WantLog, seen);
  }
}

const text = (value: unknown): string => JSON.stringify(value);
const because = (reasons: readonly string[]): string => (reasons.length === 0 ? '' : ` (${reasons.join('; ')})`);

function describe(seen: ObservedCheck | ObservedLimit): string {
  const by = seen.rule === undefined ? '' : ` by ${seen.rule}`;
  return `${seen.outcome}${by}${because(seen.reasons)}`;
}

function checkDifferences(want: WantCheck, seen: ObservedCheck): string[] {
  const outcome = 'allow' in want ? 'allow' : 'deny' in want ? 'deny' : 'failed' in want ? 'failed' : 'error';
  const rule = 'deny' in want ? want.deny : 'failed' in want ? want.failed : 'error' in want ? want.error : true;
  const wanted = `${outcome}${rule === true ? '' : ` by ${rule}`}`;
  if (seen.outcome !== outcome || !ruleFits(rule, seen.rule)) return [`wanted ${wanted}, was ${describe(seen)}`];
  const found: string[] = [];
  if ('status' in want && want.status !== undefined && want.status !== seen.status)
    found.push(`status: wanted ${want.status}, was ${seen.status}`);
  if ('body' in want && want.body !== undefined && want.body !== seen.body)
    found.push(`body: wanted ${text(want.body)}, was ${text(seen.body)}`);
  if ('headers' in want) found.push(...pairDifferences('headers', want.headers, seen.headers));
  if ('metadata' in want) found.push(...pairDifferences('metadata', want.metadata, seen.metadata));
  if ('request' in want) found.push(...changeDifferences('request', want.request, seen.request));
  if ('response' in want) found.push(...changeDifferences('response', want.response, seen.response));
  if ('query' in want) found.push(...changeDifferences('query', want.query, { ...seen.query, append: [] }));
  if ('shadow' in want) found.push(...shadowDifferences(want.shadow, seen.shadow));
  return found;
}

/** An error over gRPC is a status without a rule; only the outcome can be compared then. */
const ruleFits = (wanted: string | true, seen: string | undefined): boolean =>
  wanted === true || seen === undefined || wanted === seen;

function limitDifferences(want: WantLimit, seen: ObservedLimit): string[] {
  if ('error' in want) return seen.outcome === 'error' ? [] : [`wanted an error, was ${describe(seen)}`];
  if (seen.outcome === 'error') return [`wanted ${'over' in want ? 'over' : 'ok'}, was ${describe(seen)}`];
  const over = 'over' in want;
  const rule = over ? want.over : want.ok;
  const deciding =
    seen.statuses.find((status) => status.over) ??
    seen.statuses.reduce((least, status) =>
      status.rule !== undefined && (least.rule === undefined || status.remaining < least.remaining) ? status : least,
    );
  const was = `${deciding.over ? 'over' : 'ok'}${deciding.rule === undefined ? '' : ` by ${deciding.rule}`}${because(seen.reasons)}`;
  if (deciding.over !== over || (rule !== true && rule !== deciding.rule))
    return [`wanted ${over ? 'over' : 'ok'}${rule === true ? '' : ` by ${rule}`}, was ${was}`];
  const found: string[] = [];
  if (want.limit !== undefined && want.limit !== deciding.limit)
    found.push(`limit: wanted ${want.limit}, was ${deciding.limit}`);
  if (want.remaining !== undefined && want.remaining !== deciding.remaining)
    found.push(`remaining: wanted ${want.remaining}, was ${deciding.remaining}`);
  if (want.reset !== undefined && want.reset !== deciding.resetSeconds)
    found.push(`reset: wanted ${want.reset} s, was ${deciding.resetSeconds} s`);
  return [
    ...found,
    ...changeDifferences('response', want.response, seen.response),
    ...shadowDifferences(want.shadow, seen.shadow),
  ];
}

function logDifferences(want: WantLog, seen: ObservedLog): string[] {
  const wanted = 'report' in want ? want.report : want.reports;
  const left = [...seen.reports];
  const found: string[] = [];
  for (const one of wanted) {
    const at = left.findIndex((report) => reportFits(one, report));
    if (at >= 0) left.splice(at, 1);
    else {
      const near = seen.reports.filter((report) => report.rule === one.rule);
      found.push(
        `wanted a report ${text(one)}, ${near.length === 0 ? `${one.rule} wrote none` : `${one.rule} wrote ${near.map((report) => text(report.input)).join(', ')}`}`,
      );
    }
  }
  if ('reports' in want) found.push(...left.map((report) => `not wanted: a report ${text(report)}`));
  return found;
}

function reportFits(
  want: { rule: string; handler?: string | undefined; input?: Readonly<Record<string, unknown>> | undefined },
  seen: ObservedReport,
): boolean {
  if (want.rule !== seen.rule) return false;
  if (want.handler !== undefined && want.handler !== seen.handler) return false;
  return want.input === undefined || isDeepStrictEqual(plain(want.input), plain(seen.input));
}

/** Converted to JSON values, so that a Date equals its text. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

function pairDifferences(
  what: string,
  want: Readonly<Record<string, string>> | undefined,
  seen: readonly (readonly [string, string])[],
): string[] {
  return Object.entries(want ?? {}).flatMap(([name, value]) => {
    const values = seen.filter(([other]) => other === name).map(([, other]) => other);
    return values.includes(value)
      ? []
      : [`${what}.${name}: wanted ${text(value)}, was ${values.length === 0 ? 'absent' : values.map(text).join(', ')}`];
  });
}

interface WantedChanges {
  readonly set?: Readonly<Record<string, string>> | undefined;
  readonly append?: Readonly<Record<string, string>> | undefined;
  readonly remove?: readonly string[] | undefined;
}
function changeDifferences(what: string, want: WantedChanges | undefined, seen: NetHeaders): string[] {
  if (want === undefined) return [];
  const missing = (want.remove ?? []).filter((name) => !seen.remove.includes(name));
  return [
    ...pairDifferences(`${what}.set`, want.set, seen.set),
    ...pairDifferences(`${what}.append`, want.append, [...seen.append, ...seen.set]), // over the wire, a value appended to nothing is a set
    ...missing.map((name) => `${what}.remove: ${name} is not removed`),
  ];
}

function shadowDifferences(want: readonly string[] | undefined, seen: readonly string[]): string[] {
  if (want === undefined || isDeepStrictEqual([...want].toSorted(), [...seen].toSorted())) return [];
  return [`shadow: wanted ${text(want)}, was ${text(seen)}`];
}
