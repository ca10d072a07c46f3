/**
 * **In**: a decided call. **Out**: its line, without the secrets of the request and without what the policy masks.
 * **Fails**: with `undefined` for a call that is too large for a line.
 */
import type { CheckAnswer } from '../adapters/contract.ts';
import { filledOf, type RequestBag, type Wire } from '../attributes/bag.ts';
import { jsonOfValue } from '../attributes/json-of-value.ts';
import { RedactedRequest } from '../attributes/redacted-request.ts';
import type { Value } from '../attributes/values.ts';
import type { DecidedCall } from '../core/history/observers.ts';
import type { RuleOutcome } from '../core/outcome.ts';
import type { Snapshot } from '../core/snapshot/snapshot.ts';
import {
  type DecidedKind,
  MAX_LINE_BYTES,
  type RecordedAnswer,
  type RecordedCarried,
  type RecordedVerdict,
} from './format.ts';
import { BODIES, RECORDED_ROWS } from './recorded-attributes.ts';
import { type HiddenCarriers, hiddenCarriersOf } from './hidden-carriers.ts';

export interface WriteOptions {
  readonly timeMs: number;
  /** Whether the line has `request.body`; false by default, since no rule knows the secrets in it. */
  readonly bodies?: boolean;
}

/**
 * The line, without its end. Reads the wires of the call: in its turn, or after `wire.keep()`.
 * Log entries are not decided, so nobody observes them.
 */
export function lineOf(decided: DecidedCall, { timeMs, bodies = false }: WriteOptions): string | undefined {
  const { snapshot, bags, call: kind, verdict, outcomes, tookMs } = decided;
  const call = kind as DecidedKind;
  const { policy } = snapshot;
  const hidden = hiddenCarriersOf(policy);
  const shown = bags.map((bag) => new RedactedRequest(bag, policy.decisions.masks));
  const requests = bags.map((bag, at) => {
    const own = outcomes.filter((outcome) => bags.length === 1 || outcome.bag === bag);
    return requestOf(snapshot, call, bag, shown[at] as RedactedRequest, own, hidden, bodies);
  });
  const { id, outcome, rule = null, shadow, reasons } = verdict;
  const recorded: RecordedVerdict = {
    outcome,
    rule,
    status: 'status' in verdict ? verdict.status : outcome === 'allow' ? 200 : outcome === 'deny' ? 429 : 503,
    shadow,
    revision: policy.revision,
    reasons: reasons.map((reason) => ({
      ...reason,
      text: shown.reduce((text, request) => request.text(text), reason.text),
    })),
    ...('statuses' in verdict ? { statuses: verdict.statuses } : {}),
  };
  const frame = { id, time: new Date(timeMs).toISOString(), call, tookMs: Math.round(tookMs * 1000) / 1000 };
  const line = `${JSON.stringify(frame).slice(0, -1)},${partsOf(call, requests)},"verdict":${JSON.stringify(recorded)}}`;
  return line.length > MAX_LINE_BYTES / 3 && Buffer.byteLength(line) > MAX_LINE_BYTES ? undefined : line;
}

const PARTS = ['attributes', 'carried', 'filled', 'answers'] as const;
/** The parts of a request as JSON; `{}` for an empty one. */
type RequestJson = Readonly<Record<(typeof PARTS)[number], string>>;

const EMPTY = '{}';

/** A limit call has lists, one entry per descriptor. */
function partsOf(call: DecidedKind, requests: readonly RequestJson[]): string {
  return PARTS.filter((part) => part === 'attributes' || requests.some((request) => request[part] !== EMPTY))
    .map((part) => {
      const all = requests.map((request) => request[part]);
      if (call !== 'limit') return `"${part}":${all[0] ?? EMPTY}`;
      return `"${part === 'attributes' ? 'descriptors' : part}":[${all.join(',')}]`;
    })
    .join(',');
}

function requestOf(
  snapshot: Snapshot,
  call: DecidedKind,
  bag: RequestBag,
  shown: RedactedRequest,
  outcomes: readonly RuleOutcome[],
  hidden: HiddenCarriers,
  bodies: boolean,
): RequestJson {
  const { wire, attributes: declared } = bag;
  const attributes: Record<string, unknown> = {};
  for (const { name, number } of RECORDED_ROWS[call]) {
    if (BODIES.has(name) && !bodies) continue;
    const value = wire.read(name, number);
    if (value === undefined || isNothing(name, value)) continue;
    attributes[name] = shown.valueOf(number, value);
  }
  if (typeof attributes['request.body'] === 'string' && !attributes['request.body'].includes('\uFFFD'))
    delete attributes['request.raw_body']; // the same octets
  hidden.inHeaders(attributes);
  const filled = Object.fromEntries(
    filledOf(bag).flatMap(([slot, value]) =>
      value !== undefined || isAsked(snapshot, call, bag, slot)
        ? [[declared.at(slot).name, shown.valueOf(slot, value)] as const]
        : [],
    ),
  );
  const carried = hidden.inCarried(carriedOf(wire));
  const answers = answersOf(outcomes, shown);
  const json: RequestJson = {
    attributes: JSON.stringify(attributes),
    carried: JSON.stringify(carried),
    filled: JSON.stringify(filled),
    answers: JSON.stringify(answers),
  };
  return PARTS.some((part) => shown.isIn(json[part])) ? withoutTexts(json, shown) : json;
}

/** Whether an enrich rule of this output applies, so that its handler had nothing to say. */
const isAsked = (snapshot: Snapshot, call: DecidedKind, bag: RequestBag, slot: number): boolean =>
  snapshot
    .enrich(call)
    .some(
      ({ match, action }) =>
        action.outputs.some((output) => output.slot === slot) && (match === undefined || match(bag) === true),
    );

/** An empty map; and header values that are those of the headers. */
function isNothing(name: string, value: Value): boolean {
  if (!(value instanceof Map)) return false;
  if (value.size === 0) return true;
  return (
    name === 'request.header_values' &&
    [...(value as ReadonlyMap<string, readonly string[]>).values()].every(({ length }) => length === 1)
  );
}

function carriedOf(wire: Wire): RecordedCarried {
  const extensions = wire.contextExtensions?.();
  const metadata = wire.read('metadata');
  return {
    ...(extensions === undefined || extensions.size === 0 ? {} : { contextExtension: Object.fromEntries(extensions) }),
    ...(metadata instanceof Map && metadata.size > 0
      ? { metadata: jsonOfValue(metadata) as Readonly<Record<string, unknown>> }
      : {}),
  };
}

/** A rule that failed before it asked its handler has no answer. */
function answersOf(outcomes: readonly RuleOutcome[], shown: RedactedRequest): Readonly<Record<string, RecordedAnswer>> {
  const answers: Record<string, RecordedAnswer> = {};
  for (const { prepared, result } of outcomes) {
    const { rule, action, check } = prepared;
    if (action === undefined || action.kind === 'deny' || action.handler === undefined || check === undefined) continue;
    const { handler } = action;
    if (result.kind === 'failed') {
      if (result.part === 'handler') answers[rule.name] = { handler, says: 'failed', reason: shown.text(result.why) };
    } else if (result.kind !== 'over' && result.answer !== undefined)
      answers[rule.name] = answerOf(handler, result.answer, shown);
  }
  return answers;
}

function answerOf(handler: string, answer: CheckAnswer, shown: RedactedRequest): RecordedAnswer {
  const output = answer.output === undefined ? {} : { output: outputOf(answer.output, shown) };
  if (answer.kind === 'allow') return { handler, says: 'allow', ...output };
  return { handler, says: 'deny', code: answer.code, reason: shown.text(answer.reason), ...output };
}

const outputOf = (
  output: Readonly<Record<string, unknown>>,
  shown: RedactedRequest,
): Readonly<Record<string, unknown>> =>
  JSON.parse(
    JSON.stringify(output, function (this: Readonly<Record<string, unknown>>, key, value: unknown) {
      const given = this[key];
      if (given instanceof Uint8Array) return Buffer.from(given).toString('base64');
      return typeof value === 'string' ? shown.text(value) : typeof value === 'bigint' ? String(value) : value;
    }),
  ) as Readonly<Record<string, unknown>>;

/** Texts that a client sends elsewhere, too, such as its token in a path. What cannot be one stays. */
const withoutTexts = (json: RequestJson, shown: RedactedRequest): RequestJson =>
  Object.fromEntries(
    PARTS.map((part) => [
      part,
      JSON.stringify(JSON.parse(json[part]), (key, value: unknown) =>
        typeof value === 'string' && !KEPT.has(key) ? shown.text(value) : value,
      ),
    ]),
  ) as Record<(typeof PARTS)[number], string>;

const KEPT: ReadonlySet<string> = new Set([
  'request.method',
  'request.id',
  ':method',
  'x-request-id',
  'says',
  'handler',
]);
