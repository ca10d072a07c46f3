/**
 * Dead letters of a running server, in its memory and on its disk.
 * **In**: its admin port. **Out**: rows, one with its values, what was settled. **Fails**: with a CliError, if it does not answer or
 * refuses.
 */
import type { LetterRow } from '../core/handlers/dead-letter-requests.ts';
import { causeMessageOf } from '../text/message-of.ts';
import { addressText } from '../transport/index.ts';
import { CliError } from './cli-error.ts';
import { parseAddress } from './flag-values.ts';

const TIMEOUT_MS = 15_000;

export interface Settled {
  readonly settled: readonly string[];
  readonly failed: readonly { readonly id: string; readonly why: string }[];
  /** Why letters are missing that there may be. */
  readonly incomplete?: string;
}

/** `more`: on disk, beyond those that a server lists. */
export const lettersOf = async (
  to: string,
  handler: string | undefined,
): Promise<{ readonly letters: readonly LetterRow[]; readonly more: number; readonly incomplete?: string }> =>
  (await asked(to, `/deadletters?${queryOf({ handler })}`)) as Awaited<ReturnType<typeof lettersOf>>;

/** With its values, from JSON. */
export const letterOf = (to: string, id: string, handler: string | undefined): Promise<unknown> =>
  asked(to, `/deadletters/show?${queryOf({ id, handler })}`);

/** `ids`: absent for all. */
export async function settledBy(
  to: string,
  how: 'replay' | 'drop',
  ids: readonly string[] | undefined,
  handler: string | undefined,
): Promise<Settled> {
  const body = { ...(ids === undefined ? { all: true } : { ids }), ...(handler === undefined ? {} : { handler }) };
  return (await asked(to, `/deadletters/${how}`, body)) as Settled;
}

function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, value);
  return query.toString();
}

async function asked(to: string, path: string, body?: object): Promise<unknown> {
  const url = `http://${addressText(parseAddress(to))}`;
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  let status: number;
  let responseText: string;
  try {
    const response = await fetch(url + path, {
      ...(body === undefined ? {} : post),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    ({ status } = response);
    responseText = await response.text();
  } catch (error) {
    throw new CliError('CLI_UNREACHABLE', `the admin port at ${url} does not answer: ${causeMessageOf(error)}`, {
      cause: error,
    });
  }
  const answer = jsonOf(responseText);
  const isRoute = status !== 404 || answer?.error !== 'Not Found';
  if (answer === undefined || !isRoute)
    throw new CliError(
      'CLI_SPOOL',
      `${url} answers ${status}, and not with dead letters: it is another port, or a server of an older version`,
    );
  if (status === 200) return answer;
  throw new CliError('CLI_SPOOL', typeof answer.error === 'string' ? answer.error : `${url} answers ${status}`);
}

function jsonOf(text: string): { readonly error?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
