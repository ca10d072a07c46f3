/**
 * A quota action.
 * **In**: the fields under `quota`, the handlers. **Out**: the action, its expressions, its `out.*`.
 * **Fails**: with findings; the action is then `undefined`.
 */
import type { Algorithm, Shape } from '../../../adapters/contract.ts';
import type { Compiled } from '../../../expression/index.ts';
import { CALENDAR, type Calendar, calendarOf, isZone } from '../../../counting/calendar.ts';
import { expressionOf } from '../expressions.ts';
import { type Fields, fieldsOf, listOfNodes } from '../../../yaml/fields.ts';
import type { ActionContext, ReadAction } from './read-action.ts';
import { digested, type Secrecy } from './secrecy.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { FOREIGN_KEYS, KEYS, RANGES, WORDS } from '../keys.ts';
import { type Node, nodeText } from '../../../yaml/nodes.ts';

const NUMBERS: ReadonlySet<string> = new Set(['int', 'uint', 'double', 'dyn']);
const KEY_TYPES: ReadonlySet<string> = new Set(['string', 'int', 'uint', 'dyn']);
/** A string of RFC 9651. */
const POLICY_NAME = /^[\x20-\x7e]+$/;

/** `out.*` of a quota; whole numbers, rounded down. */
const OUTPUT: Shape = { granted: 'int', limit: 'int', remaining: 'int', reset: 'duration' };

/** A rule is read in one turn of the event loop, and a key is made for each call. */
const MAX_KEY_PARTS = 256;

function keyParts(node: Node, findings: Findings): readonly Node[] {
  const items = listOfNodes(node, 'key', findings)?.items ?? [];
  if (items.length <= MAX_KEY_PARTS) return items;
  findings.error('RULES_VALUE', node.place, `key has ${items.length} expressions; at most ${MAX_KEY_PARTS} are taken`);
  return [];
}

/** `given`: attributes that the rule's match proves to be present. */
export function quotaOf(
  node: Node,
  ruleName: string,
  given: ReadonlySet<string>,
  { attributes, handlers, findings, secrecy }: ActionContext,
): ReadAction | undefined {
  const fields = fieldsOf(node, 'quota', findings)?.only(KEYS.quota, FOREIGN_KEYS.quota);
  if (fields === undefined) return undefined;
  const use = handlers.named(fields, 'quota');
  fields.required('per', 'the period, such as 1m');
  const { perMs, calendar, zone } = periodOf(fields, findings);
  const limitNode = fields.required('limit', 'the units allowed in a period, such as 100');
  const keyNode = fields.required(
    'key',
    'a list of expressions; each distinct value has its own count, and [] is one count for all',
  );
  const algorithm = algorithmOf(fields, findings);
  if (use !== undefined && algorithm !== undefined && !use.serves.algorithms.includes(algorithm))
    findings.error(
      'RULES_CAPABILITY',
      fields.node('algorithm')?.place ?? fields.place,
      `${use.handler} is a ${use.spec.adapter}, which supports ${use.serves.algorithms.join(', ')}, not ${algorithm}`,
    );
  const number = (what: string, value: Node | undefined): Compiled | undefined => {
    if (value === undefined) return undefined;
    const isOutOfRange = value.kind === 'scalar' && typeof value.value === 'number' && !isAmount(value.value);
    const compiled = isOutOfRange
      ? undefined
      : expressionOf(value, what, attributes, findings, {
          given,
          isQuota: true,
          accept: ({ kind }) => NUMBERS.has(kind),
          wanted: 'a number',
        });
    const constant = constantOf(compiled);
    if (!isOutOfRange && (constant === undefined || isAmount(constant))) return compiled;
    const found = constant ?? nodeText(value);
    findings.error('RULES_VALUE', value.place, `${what} is ${found}; expected a number from 0 to ${RANGES.amount[1]}`);
    return undefined;
  };
  const limit = number('limit', limitNode);
  const cost = number('cost', fields.node('cost'));
  const burst = number('burst', fields.node('burst'));
  const key = (keyNode === undefined ? [] : keyParts(keyNode, findings))
    .flatMap((item) => expressionOf(item, 'key', attributes, findings, { given, isQuota: true }) ?? [])
    .map((part) => withoutSecrets(part, secrecy));
  const onceNode = fields.node('once');
  const once =
    onceNode === undefined
      ? undefined
      : expressionOf(onceNode, 'once', attributes, findings, {
          given,
          isQuota: true,
          accept: ({ kind }) => KEY_TYPES.has(kind),
          wanted: 'a text or a number',
        });
  const partial = fields.flag('partial') ?? false;
  if (!partial && limitNode !== undefined && (cost !== undefined || !fields.has('cost')))
    checkGrants(fields, { limit, cost, burst }, limitNode, findings);
  checkTogether(fields, { algorithm, isCalendar: calendar !== undefined, partial }, findings);
  const policy = policyNameOf(fields, findings);
  const params = use === undefined ? undefined : handlers.params(fields, use.spec, use.serves.params);
  const counter = fields.text('counter') ?? ruleName;
  const override = fields.flag('override') ?? true;
  if (
    use === undefined ||
    perMs === undefined ||
    limit === undefined ||
    algorithm === undefined ||
    params === undefined
  )
    return undefined;
  return {
    action: {
      kind: 'quota',
      handler: use.handler,
      params: params.value,
      counter,
      algorithm,
      perMs,
      calendar,
      zone,
      key,
      limit,
      cost,
      burst,
      once: once === undefined ? undefined : withoutSecrets(once, secrecy),
      partial,
      policy,
      override,
      descriptorKeys: [],
    },
    compiled: [...key, limit, cost, burst, once].filter((part) => part !== undefined),
    output: OUTPUT,
  };
}

const isAmount = (value: number): boolean => value >= RANGES.amount[0] && value <= RANGES.amount[1];

/** Of an expression that reads nothing. */
function constantOf(compiled: Compiled | undefined): number | undefined {
  const value = compiled?.constant;
  return typeof value === 'bigint' ? Number(value) : typeof value === 'number' ? value : undefined;
}

/** A constant cost above the limit is never granted, which is an error; a limit of 0 is not, since it refuses all calls on purpose. */
function checkGrants(
  fields: Fields,
  { limit, cost, burst }: Readonly<Record<'limit' | 'cost' | 'burst', Compiled | undefined>>,
  limitNode: Node,
  findings: Findings,
): void {
  const name = fields.has('burst') ? 'burst' : 'limit';
  const most = constantOf(name === 'burst' ? burst : limit);
  const units = cost === undefined ? 1 : constantOf(cost);
  if (most === undefined || units === undefined || most === 0 || units <= most) return;
  findings.warn(
    'RULES_NEVER_GRANTED',
    (fields.node('cost') ?? fields.node(name) ?? limitNode).place,
    `a call costs ${units}, and the ${name} is ${most}, so none ever passes; raise the ${name}, or write partial: true`,
  );
}

/** A counter's name reaches the backend and operators, so secrets in it are digests. */
const withoutSecrets = (compiled: Compiled, secrecy: Secrecy): Compiled =>
  secrecy.exposedBy(compiled.reads).length === 0 ? compiled : digested(compiled);

/** `per: 15m`, or `per: month` with the time zone of its calendar. */
function periodOf(
  fields: Fields,
  findings: Findings,
): { readonly perMs: number | undefined; readonly calendar: Calendar | undefined; readonly zone: string } {
  const per = fields.node('per');
  const period = per?.kind === 'scalar' ? CALENDAR.find((word) => word === per.value) : undefined;
  const zone = fields.text('zone');
  const zonePlace = fields.node('zone')?.place ?? fields.place;
  if (period === undefined) {
    const perMs = fields.durationMs('per', ['s', 'm', 'h', 'd', 'ms'], RANGES.per, CALENDAR);
    if (zone !== undefined && perMs !== undefined)
      findings.error('RULES_MISPLACED', zonePlace, `zone requires per: ${CALENDAR.join(', ')}`);
    return { perMs, calendar: undefined, zone: '' };
  }
  const name = zone ?? 'UTC';
  if (!isZone(name)) {
    findings.error(
      'RULES_VALUE',
      zonePlace,
      `zone is ${name}, which is not a time zone; expected one such as Europe/Amsterdam`,
    );
    return { perMs: undefined, calendar: undefined, zone: name };
  }
  const calendar = calendarOf(period, name);
  return { perMs: calendar.lengthS * 1000, calendar, zone: `${period} ${name}` };
}

function algorithmOf(fields: Fields, findings: Findings): Algorithm | undefined {
  const word = fields.word('algorithm', WORDS.algorithm);
  if (word === 'concurrency' && !fields.has('once'))
    findings.error(
      'RULES_MISSING_KEY',
      fields.node('algorithm')?.place ?? fields.place,
      'algorithm: concurrency needs once, which identifies the request when its lease ends, such as its x-request-id',
    );
  return word ?? (fields.has('algorithm') ? undefined : 'fixed');
}

/** Keys that exclude each other. */
function checkTogether(
  fields: Fields,
  {
    algorithm,
    isCalendar,
    partial,
  }: { readonly algorithm: Algorithm | undefined; readonly isCalendar: boolean; readonly partial: boolean },
  findings: Findings,
): void {
  if (fields.has('burst') && algorithm !== undefined && algorithm !== 'gcra')
    findings.error(
      'RULES_MISPLACED',
      fields.entry('burst')?.keyPlace ?? fields.place,
      'burst requires algorithm: gcra',
    );
  if (isCalendar && algorithm !== undefined && algorithm !== 'fixed')
    findings.error(
      'RULES_MISPLACED',
      fields.node('per')?.place ?? fields.place,
      'a calendar period requires algorithm: fixed',
    );
  if (partial && fields.has('once'))
    findings.error(
      'RULES_MISPLACED',
      fields.entry('partial')?.keyPlace ?? fields.place,
      'partial cannot be combined with once: a repeat would be granted the amount of its first charge, which is not stored',
    );
}

function policyNameOf(fields: Fields, findings: Findings): string | undefined {
  const policy = fields.text('policy');
  if (policy !== undefined && !POLICY_NAME.test(policy))
    findings.error(
      'RULES_VALUE',
      fields.node('policy')?.place ?? fields.place,
      'policy names the limit for clients; use printable ASCII',
    );
  return policy;
}
