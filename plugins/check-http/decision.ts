/**
 * **In**: what a service answered. **Out**: allow or deny. **Fails**: with `Unavailable` or `Rejected` for an answer that is neither, such
 * as JSON without the boolean: a failure never reads as "no".
 */
import { z } from 'zod';
import {
  allow,
  type CheckAnswer,
  deny,
  INVALID_ARGUMENT,
  NOT_FOUND,
  PERMISSION_DENIED,
  Rejected,
  RESOURCE_EXHAUSTED,
  type Shape,
  UNAUTHENTICATED,
} from 'sluice/plugin';
import { bodyOf, cut, type HttpAnswer, jsonOf, unexpected } from '../http/answer.ts';
import { type Pointer, pointerOf, pointerSchema } from '../http/pointer.ts';
import { type ValidityConfig, validityOf } from '../http/validity.ts';

const pointer = (what: string, example: string): z.ZodOptional<z.ZodString> =>
  pointerSchema
    .optional()
    .describe(what)
    .meta({ examples: [example] });

export const readingShape = {
  deny: z
    .array(z.int().min(300).max(599))
    .optional()
    .describe(
      'Statuses that deny. Default: 401 and 403; with `json` none, since there they mean that Sluice itself is refused.',
    )
    .meta({ examples: [[401, 403]] }),
  json: z
    .strictObject({
      allow: pointerSchema
        .describe('JSON pointer to the boolean that allows (true) or denies (false). If it is missing, the call fails.')
        .meta({ examples: ['/result/allow'] }),
      reason: pointer('JSON pointer to the reason of a denial, for operators.', '/result/reason'),
      status: pointer(
        'JSON pointer to the HTTP status of a denial: 400, 401, 404 or 429; any other counts as 403. ' +
          "A status in the rule's onDeny has precedence.",
        '/result/http_status',
      ),
      code: pointer(
        'JSON pointer to the gRPC code (1 to 16) of a denial; it has precedence over the status.',
        '/result/code',
      ),
    })
    .optional()
    .describe('Reads the decision from the JSON of an answer with status 2xx. Default: 2xx allows.'),
};
export type ReadingConfig = z.output<z.ZodObject<typeof readingShape>>;

/** What `onAllow` and `onDeny` read as `out.*`. */
export const OUTPUT = { status: 'int', headers: 'map<string>', body: 'any?' } as const satisfies Shape;

export function decisionOf(
  { deny: denied, json }: ReadingConfig,
  validity: ValidityConfig,
  nowMs: () => number,
): (answer: HttpAnswer) => CheckAnswer {
  const denying = new Set(denied ?? (json === undefined ? [401, 403] : []));
  const reading = json === undefined ? undefined : readingOf(json);
  const expected = ['2xx', ...denying].join(', ');
  return (answer) => {
    const { status, headers } = answer;
    if (denying.has(status)) {
      const options = {
        ...validityOf(answer, validity, true, nowMs()),
        output: { status, headers, body: bodyOf(answer) },
      };
      return deny(codeOfStatus(status), `it answered ${status}`, options);
    }
    if (status < 200 || status > 299) throw unexpected(answer, expected, nowMs());
    const decision = reading?.(jsonOf(answer));
    const options = {
      ...validityOf(answer, validity, decision !== undefined, nowMs()),
      output: { status, headers, body: decision?.body ?? bodyOf(answer) },
    };
    return decision?.refusal === undefined
      ? allow(options)
      : deny(decision.refusal.code, decision.refusal.reason, options);
  };
}

interface Decision {
  readonly body: unknown;
  readonly refusal: { readonly code: number; readonly reason: string } | undefined;
}

function readingOf({
  allow: at,
  reason,
  status,
  code,
}: NonNullable<ReadingConfig['json']>): (body: unknown) => Decision {
  const allowed = pointerOf(at);
  const reasonOf = reason === undefined ? NOWHERE : pointerOf(reason);
  const statusOf = status === undefined ? NOWHERE : pointerOf(status);
  const codeOf = code === undefined ? NOWHERE : pointerOf(code);
  return (body) => {
    const isAllowed = allowed(body);
    if (typeof isAllowed !== 'boolean')
      throw new Rejected(`its answer has no boolean at ${at === '' ? 'its root' : at}`);
    if (isAllowed) return { body, refusal: undefined };
    const why = reasonOf(body);
    return {
      body,
      refusal: {
        code: denialCode(codeOf(body)) ?? codeOfStatus(statusOf(body)),
        reason:
          why === undefined || why === null
            ? `${at} is false`
            : cut(typeof why === 'string' ? why : JSON.stringify(why)),
      },
    };
  };
}
const NOWHERE: Pointer = () => undefined;

const denialCode = (code: unknown): number | undefined =>
  typeof code === 'number' && Number.isInteger(code) && code >= 1 && code <= 16 ? code : undefined;

const CODES: ReadonlyMap<unknown, number> = new Map([
  [400, INVALID_ARGUMENT],
  [401, UNAUTHENTICATED],
  [404, NOT_FOUND],
  [429, RESOURCE_EXHAUSTED],
]);
const codeOfStatus = (status: unknown): number => CODES.get(status) ?? PERMISSION_DENIED;
