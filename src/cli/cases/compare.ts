/**
 * **In**: the expected and the observed result of a call. **Out**: the differences, one sentence each.
 * Only parts that the case names are compared.
 */
import { isDeepStrictEqual } from 'node:util';
import type { NetHeaders } from '../../core/call.ts';
import type { Want, WantCheck, WantLimit, WantLog } from './schema.ts';
import type { Observed, ObservedCheck, ObservedLimit, ObservedLog, ObservedReport } from './observed.ts';

export function differences(want: Want, observed: Observed): string[] {
  switch (observed.kind) {
    case 'check':
      return checkDifferences(want as WantCheck, observed);
    case 'limit':
      return limitDifferences(want as WantLimit, observed);
    case 'log':
      return logDifferences(want as WantLog, observed);
  }
}

const text = (value: unknown): string => JSON.stringify(value);
const because = (reasons: readonly string[]): string => (reasons.length === 0 ? '' : ` (${reasons.join('; ')})`);

function describe(observed: ObservedCheck | ObservedLimit): string {
  const by = observed.rule === undefined ? '' : ` by ${observed.rule}`;
  return `${observed.outcome}${by}${because(observed.reasons)}`;
}

function checkDifferences(want: WantCheck, observed: ObservedCheck): string[] {
  const outcome = 'allow' in want ? 'allow' : 'deny' in want ? 'deny' : 'failed' in want ? 'failed' : 'error';
  const rule = 'deny' in want ? want.deny : 'failed' in want ? want.failed : 'error' in want ? want.error : true;
  const wanted = `${outcome}${rule === true ? '' : ` by ${rule}`}`;
  if (observed.outcome !== outcome || !ruleFits(rule, observed.rule))
    return [`wanted ${wanted}, was ${describe(observed)}`];
  const found: string[] = [];
  if ('status' in want && want.status !== undefined && want.status !== observed.status)
    found.push(`status: wanted ${want.status}, was ${observed.status}`);
  if ('body' in want && want.body !== undefined && want.body !== observed.body)
    found.push(`body: wanted ${text(want.body)}, was ${text(observed.body)}`);
  if ('headers' in want) found.push(...pairDifferences('headers', want.headers, observed.headers));
  if ('metadata' in want) found.push(...pairDifferences('metadata', want.metadata, observed.metadata));
  if ('request' in want) found.push(...changeDifferences('request', want.request, observed.request));
  if ('response' in want) found.push(...changeDifferences('response', want.response, observed.response));
  if ('query' in want) found.push(...changeDifferences('query', want.query, { ...observed.query, append: [] }));
  if ('shadow' in want) found.push(...shadowDifferences(want.shadow, observed.shadow));
  return found;
}

/** An error over gRPC is a status without a rule; only the outcome can be compared then. */
const ruleFits = (wanted: string | true, observed: string | undefined): boolean =>
  wanted === true || observed === undefined || wanted === observed;

function limitDifferences(want: WantLimit, observed: ObservedLimit): string[] {
  if ('error' in want) return observed.outcome === 'error' ? [] : [`wanted an error, was ${describe(observed)}`];
  if (observed.outcome === 'error') return [`wanted ${'over' in want ? 'over' : 'ok'}, was ${describe(observed)}`];
  const over = 'over' in want;
  const rule = over ? want.over : want.ok;
  const deciding =
    observed.statuses.find((status) => status.over) ??
    observed.statuses.reduce((least, status) =>
      status.rule !== undefined && (least.rule === undefined || status.remaining < least.remaining) ? status : least,
    );
  const was = `${deciding.over ? 'over' : 'ok'}${deciding.rule === undefined ? '' : ` by ${deciding.rule}`}${because(observed.reasons)}`;
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
    ...changeDifferences('response', want.response, observed.response),
    ...shadowDifferences(want.shadow, observed.shadow),
  ];
}

function logDifferences(want: WantLog, observed: ObservedLog): string[] {
  const wanted = 'report' in want ? want.report : want.reports;
  const left = [...observed.reports];
  const found: string[] = [];
  for (const one of wanted) {
    const at = left.findIndex((report) => reportFits(one, report));
    if (at >= 0) left.splice(at, 1);
    else {
      const near = observed.reports.filter((report) => report.rule === one.rule);
      found.push(
        `wanted a report ${text(one)}, ${near.length === 0 ? `${one.rule} wrote none` : `${one.rule} wrote ${near.map((report) => text(report.input)).join(', ')}`}`,
      );
    }
  }
  if ('reports' in want) found.push(...left.map((report) => `unwanted report ${text(report)}`));
  return found;
}

function reportFits(
  want: { rule: string; handler?: string | undefined; input?: Readonly<Record<string, unknown>> | undefined },
  observed: ObservedReport,
): boolean {
  if (want.rule !== observed.rule) return false;
  if (want.handler !== undefined && want.handler !== observed.handler) return false;
  return want.input === undefined || isDeepStrictEqual(plain(flat(want.input, observed.input)), plain(observed.input));
}

/** `labels: { code: "200" }`, as a rule writes it, is `labels.code: "200"` where the handler gets that. */
const flat = (
  input: Readonly<Record<string, unknown>>,
  observed: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(input).flatMap(([name, value]) =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && !(name in observed)
        ? Object.entries(value).map(([key, one]) => [`${name}.${key}`, one])
        : [[name, value]],
    ),
  );

/** Converted to JSON values, so that a Date equals its text. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;

function pairDifferences(
  what: string,
  want: Readonly<Record<string, string>> | undefined,
  observed: readonly (readonly [string, string])[],
): string[] {
  return Object.entries(want ?? {}).flatMap(([name, value]) => {
    const values = observed.filter(([other]) => other === name).map(([, other]) => other);
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
function changeDifferences(what: string, want: WantedChanges | undefined, observed: NetHeaders): string[] {
  if (want === undefined) return [];
  const missing = (want.remove ?? []).filter((name) => !observed.remove.includes(name));
  return [
    ...pairDifferences(`${what}.set`, want.set, observed.set),
    // Over the wire, a value appended to nothing is a set
    ...pairDifferences(`${what}.append`, want.append, [...observed.append, ...observed.set]),
    ...missing.map((name) => `${what}.remove: ${name} is not removed`),
  ];
}

function shadowDifferences(want: readonly string[] | undefined, observed: readonly string[]): string[] {
  if (want === undefined || isDeepStrictEqual([...want].toSorted(), [...observed].toSorted())) return [];
  return [`shadow: wanted ${text(want)}, was ${text(observed)}`];
}
