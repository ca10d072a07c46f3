/**
 * Prints the inspection of quota rules by `sluice serve`, for people.
 * **In**: an inspection of each rule. **Out**: the rules that apply with their counters, then the others with the reason. **Fails**: never.
 */
import { durationText } from '../../time/duration.ts';
import type { InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import type { QuotaInspection } from '../../core/dispatch/quota-inspection.ts';
import { shownPath } from '../findings.ts';
import { paintOut } from '../../text/paint.ts';
import { columns } from '../terminal.ts';
import type { RuleInspections } from './ask.ts';
import { holdersText, leaseLines } from './holder-lines.ts';

export function* ruleLines(depth: InspectionDepth, { call, rules }: RuleInspections): Generator<string> {
  const isOne = rules.every(({ descriptor = 1 }) => descriptor === 1);
  const nameOf = ({ rule, descriptor }: QuotaInspection): string =>
    isOne ? rule : `${rule} (descriptor ${descriptor})`;
  const [applying, others] = [rules.filter(({ applies }) => applies), rules.filter(({ applies }) => !applies)];
  if (rules.length === 0) yield paintOut.warn('the policy has no quota rule: it passes');
  else if (applying.length === 0) yield paintOut.warn(`no quota rule applies to this ${call} call: none is charged`);
  for (const inspection of applying) {
    yield `${paintOut.strong(nameOf(inspection))}  ${limitOf(inspection)}  ${paintOut.faint(placeOf(inspection))}`;
    yield* columns([...factsOf(depth, inspection)].map(([what, text]) => [`  ${what}`.padEnd(12), text]));
    yield* leaseLines(inspection);
    if (inspection.failure !== undefined) yield `  ${paintOut.bad(inspection.failure)}`;
    if (inspection.reset === true) yield `  ${paintOut.good('it is reset')}`;
    if (inspection.reset === false) yield `  ${paintOut.bad('it was not reset')}`;
  }
  if (others.length > 0) yield paintOut.strong(`${applying.length === 0 ? '' : '\n'}Rules that do not apply`);
  yield* columns(
    others.map((inspection) => [
      `  ${nameOf(inspection)}`,
      inspection.why,
      inspection.match ?? '',
      placeOf(inspection),
    ]),
    [paintOut.name, (text) => text, (text) => text, paintOut.faint],
  );
}

function* factsOf(depth: InspectionDepth, inspection: QuotaInspection): Generator<readonly [string, string]> {
  const { why, match, key, handler, adapter, counter, place, state, holders, cost } = inspection;
  yield ['applies', why];
  if (match !== undefined) yield ['match', match];
  if (!inspection.enforced) yield ['mode', 'shadow: charged, never refused'];
  yield [
    'key',
    key.length === 0
      ? 'none: one count for all'
      : key.map(({ source, value }) => `${source} = ${value === null ? 'absent' : JSON.stringify(value)}`).join(', '),
  ];
  yield ['counter', `${counter}, kept by ${handler} (${adapter})${place === undefined ? '' : ` as ${place}`}`];
  if (cost !== undefined && cost !== 1) yield ['costs', String(cost)];
  if (state === undefined) return;
  const { used, remaining, granted, resetMs } = state;
  yield [
    depth === 'reset' ? 'was at' : 'is at',
    `${used}, ${remaining} left${granted ? '' : ': less than the call costs'}`,
  ];
  yield [inspection.algorithm === 'fixed' ? 'ends in' : 'full in', `${Math.ceil(resetMs / 1000)} s`];
  if (holders !== undefined && holders.length > 0) yield ['held', holdersText(holders)];
}

function limitOf({ limit, burst, algorithm, perMs, calendar }: QuotaInspection): string {
  const period = calendar ?? durationText(perMs);
  return `${limit ?? 'an unknown limit'} per ${period}, ${algorithm}${burst === undefined || burst === limit ? '' : `, burst ${burst}`}`;
}

function placeOf({ at }: QuotaInspection): string {
  const [file = '', ...line] = at.split(/:(?=\d+$)/);
  return [shownPath(file), ...line].join(':');
}
