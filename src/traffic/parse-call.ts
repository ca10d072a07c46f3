/**
 * **In**: the JSON of a line. **Out**: the call. **Fails**: with a text that says what is wrong. The values of attributes are read
 * later, by their types, where a rule reads them.
 */
import { isObject, type JsonObject } from '../text/json-object.ts';
import {
  DECIDED_KINDS,
  type DecidedKind,
  type RecordedAnswer,
  type RecordedCall,
  type RecordedCarried,
  type RecordedRequest,
  type RecordedVerdict,
} from './format.ts';

const NOTHING: JsonObject = {};
const KINDS: ReadonlySet<unknown> = new Set(DECIDED_KINDS);
const OUTCOMES: ReadonlySet<unknown> = new Set(['allow', 'deny', 'failed', 'error']);

export function callOf(line: JsonObject): RecordedCall | string {
  const { id, time, call, tookMs, verdict } = line;
  if (!KINDS.has(call)) return `call is ${shown(call)}; expected ${DECIDED_KINDS.join(', ')}`;
  const timeMs = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(timeMs)) return `time is ${shown(time)}; expected a time such as 2026-01-31T12:00:00Z`;
  if (verdict !== undefined && !isVerdict(verdict)) return 'verdict has no outcome, or no list of reasons';
  const requests = call === 'limit' ? descriptorsOf(line) : requestOf(line);
  if (typeof requests === 'string') return requests;
  return {
    id: typeof id === 'string' ? id : '',
    timeMs,
    call: call as DecidedKind,
    tookMs: typeof tookMs === 'number' ? tookMs : undefined,
    requests,
    verdict,
  };
}

const isVerdict = (verdict: unknown): verdict is RecordedVerdict =>
  isObject(verdict) &&
  OUTCOMES.has(verdict['outcome']) &&
  (verdict['rule'] === null || typeof verdict['rule'] === 'string') &&
  Array.isArray(verdict['reasons']) &&
  Array.isArray(verdict['shadow']);

function requestOf({
  attributes,
  carried = NOTHING,
  filled = NOTHING,
  answers = NOTHING,
}: JsonObject): readonly RecordedRequest[] | string {
  if (!isObject(attributes)) return `attributes is ${shown(attributes)}; expected a map of attributes`;
  if (!isObject(carried) || !isObject(filled) || !isObject(answers)) return 'carried, filled and answers must be maps';
  return [request(attributes, carried, filled, answers)];
}

function descriptorsOf({ descriptors, filled, answers }: JsonObject): readonly RecordedRequest[] | string {
  if (!Array.isArray(descriptors) || descriptors.length === 0 || !descriptors.every(isObject))
    return `descriptors is ${shown(descriptors)}; expected a list of maps of attributes`;
  return descriptors.map((attributes, at) => request(attributes, NOTHING, entryAt(filled, at), entryAt(answers, at)));
}

const entryAt = (list: unknown, at: number): JsonObject => {
  const entry: unknown = Array.isArray(list) ? list[at] : undefined;
  return isObject(entry) ? entry : NOTHING;
};

const request = (
  attributes: JsonObject,
  carried: JsonObject,
  filled: JsonObject,
  answers: JsonObject,
): RecordedRequest => ({
  attributes,
  carried: carried as RecordedCarried,
  filled,
  answers: answers as Readonly<Record<string, RecordedAnswer>>,
});

const MAX_SHOWN = 60;

/** For messages. */
export function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
