/**
 * The initial content of the playground.
 * **In**: the texts of the policy in force, a kept call in the form of records. **Out**: the text that may be shown, and the call as a
 * request, with all attributes that its proxy sent. **Fails**: never; what is missing has a reason.
 */
import type { PlayedRequest, PlayStart } from '../../admin/sources.ts';
import { AttributeError } from '../../attributes/errors.ts';
import { plainRequest } from '../../attributes/plain-request.ts';
import { MASKED } from '../../attributes/redacted-request.ts';
import { HIDDEN } from '../../attributes/secrets.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { shownText } from '../../core/rules/shown-text.ts';
import { isObject, type JsonObject } from '../../text/json-object.ts';
import type { RecordedCall } from '../../traffic/format.ts';
import type { PlaygroundOptions } from './playground.ts';

export async function playgroundStart(
  id: string | undefined,
  { texts, inForce, recorded }: Pick<PlaygroundOptions, 'texts' | 'inForce' | 'recorded'>,
): Promise<PlayStart> {
  const [files, policy] = [texts()?.files, inForce()];
  if (files === undefined || policy === undefined)
    return { policy: undefined, why: 'no policy is in force', request: undefined };
  const shown = await shownText(files);
  const record = id === undefined ? undefined : await recorded(id);
  const request = record && playedRequest(policy, record);
  return 'text' in shown
    ? { policy: withoutParams(policy, shown.text), why: undefined, request }
    : { policy: undefined, why: shown.why, request };
}

/** Without secrets that params of rules have, which a plugin's schema marks. */
const withoutParams = ({ handlers }: Policy, text: string): string =>
  [...handlers.values()].reduce((shown, { secrets }) => secrets.text(shown), text);

/** `undefined` if the call cannot be written as a request, so that it would be decided otherwise. */
function playedRequest({ attributes }: Policy, { call, requests: [request] }: RecordedCall): PlayedRequest | undefined {
  if (request === undefined) return undefined;
  const { carried } = request;
  const isRead = (values: JsonObject): boolean => {
    try {
      plainRequest(attributes, values, call, carried as JsonObject);
      return true;
    } catch (error) {
      if (error instanceof AttributeError) return false;
      throw error;
    }
  };
  const given = Object.entries(request.attributes).map(([name, value]) => [name, withoutPseudo(name, value)] as const);
  // Such as an address, which is `(secret)` in the record.
  const readable = Object.fromEntries(given.filter(([name, value]) => isRead({ [name]: value })));
  if (!isRead(readable)) return undefined;
  return { call, attributes: readable, carried: carried as JsonObject, hidden: given.flatMap(hiddenIn) };
}

/** `:path` and its like would contradict a path that somebody changes. */
const withoutPseudo = (name: string, value: unknown): unknown =>
  /^request\.header(s|_values)$/.test(name) && isObject(value)
    ? Object.fromEntries(Object.entries(value).filter(([header]) => !header.startsWith(':')))
    : value;

/** Names of values that are hidden, whole or in part. */
const hiddenIn = ([name, value]: readonly [string, unknown]): string[] =>
  isObject(value)
    ? Object.entries(value).flatMap(([key, one]) => (isHidden(one) ? [`${name}["${key}"]`] : []))
    : isHidden(value)
      ? [name]
      : [];

function isHidden(value: unknown): boolean {
  const text = JSON.stringify(value);
  return text.includes(HIDDEN) || text.includes(MASKED);
}
