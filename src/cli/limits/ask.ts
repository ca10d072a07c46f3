/**
 * Requests inspections of limits from a running server: the admin port of `sluice serve` or the debug port of `sluice ratelimit`.
 * **In**: an address, a depth, a call. **Out**: the inspection, of either kind.
 * **Fails**: with a CliError that names the server and its answer.
 */
import type { CallKind } from '../../attributes/carrier.ts';
import type { InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import type { QuotaInspection } from '../../core/dispatch/quota-inspection.ts';
import type { Inspection } from '../../ratelimit/inspect/inspector.ts';
import { CliError } from '../cli-error.ts';
import type { RequestFile } from '../request-file.ts';
import { causeMessageOf } from '../../text/message-of.ts';

export type Question =
  | { readonly kind: 'descriptor'; readonly domain: string; readonly entries: readonly string[] }
  | { readonly kind: 'request'; readonly request: RequestFile };

/** The answer of `sluice serve`: every quota rule, applied to the call. */
export interface RuleInspections {
  readonly call: CallKind;
  readonly rules: readonly QuotaInspection[];
}
export type Inspected =
  | { readonly by: 'serve'; readonly answer: RuleInspections }
  | { readonly by: 'ratelimit'; readonly answer: Inspection };

/** Longer than any inspection takes. */
const TIMEOUT_MS = 15_000;

export async function askLimits(to: string, depth: InspectionDepth, question: Question): Promise<Inspected> {
  const url = `http://${to}/limits/${depth}`;
  const { path, ...init } =
    question.kind === 'descriptor'
      ? descriptorRequest(depth, question.domain, question.entries)
      : bodyRequest(question.request);
  let status: number;
  let text: string;
  try {
    const answer = await fetch(`${url}${path}`, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    [status, text] = [answer.status, await answer.text()];
  } catch (error) {
    throw new CliError('CLI_UNREACHABLE', `http://${to} does not answer: ${causeMessageOf(error)}`, { cause: error });
  }
  const answer = jsonOf(text);
  if (status === 400 && question.kind === 'request')
    throw new CliError('CLI_REQUEST_FILE', `${question.request.shown}: ${whyOf(answer, text)}`);
  if (status === 404)
    throw new CliError(
      'CLI_UNREACHABLE',
      `http://${to} has no ${init.method} /limits/${depth}; ` +
        (question.kind === 'request'
          ? 'use the admin port of `sluice serve`, or DOMAIN KEY=VALUE... for `sluice ratelimit`'
          : 'use the admin port of `sluice serve` or the debug port of `sluice ratelimit`'),
    );
  if (status !== 200) throw new CliError('CLI_UNREACHABLE', `${url} answers ${status}: ${whyOf(answer, text)}`);
  if (isObject(answer) && Array.isArray(answer['rules']))
    return { by: 'serve', answer: answer as unknown as RuleInspections };
  if (isObject(answer) && Array.isArray(answer['why']))
    return { by: 'ratelimit', answer: answer as unknown as Inspection };
  throw new CliError(
    'CLI_UNREACHABLE',
    `${url} is neither \`sluice serve\` nor \`sluice ratelimit\`; it answers ${text.slice(0, 200)}`,
  );
}

interface Request {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly body?: string;
}

function descriptorRequest(depth: InspectionDepth, domain: string, entries: readonly string[]): Request {
  const query = new URLSearchParams({ domain });
  for (const entry of entries) {
    const at = entry.indexOf('=');
    if (at <= 0) throw new CliError('CLI_USAGE', `"${entry}" is not an entry; expected KEY=VALUE`);
    query.append('key', entry.slice(0, at));
    query.append('value', entry.slice(at + 1));
  }
  return { path: `?${query.toString()}`, method: depth === 'reset' ? 'POST' : 'GET' };
}

const bodyRequest = ({ values }: RequestFile): Request => ({ path: '', method: 'POST', body: JSON.stringify(values) });

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const whyOf = (answer: unknown, text: string): string =>
  isObject(answer) && typeof answer['error'] === 'string' ? answer['error'] : text.slice(0, 500);
const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
