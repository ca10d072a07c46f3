/**
 * `sluice why`: why a call was refused.
 * **In**: the id of a verdict or request; a running server, or files of a decision log. **Out**: the verdicts with that id, on stdout.
 * **Fails**: with exit code 1 if there is none, and with a CliError if the server or a file cannot be read.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { QuotaInspection } from '../../core/dispatch/quota-inspection.ts';
import type { WhyAnswer, WhyRule } from '../../explain/why.ts';
import { safeLine } from '../../log/safe-text.ts';
import { causeMessageOf } from '../../text/message-of.ts';
import { paintOut } from '../../text/paint.ts';
import { addressText } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { parseAddress } from '../flag-values.ts';
import { columns, printErr, printOut } from '../terminal.ts';
import { systemReason } from '../../text/system-reason.ts';

export interface WhyFlags {
  readonly to: string;
  readonly log?: readonly string[];
  readonly json?: true;
}

type Fields = Readonly<Record<string, unknown>>;

const TIMEOUT_MS = 15_000;

export async function why(id: string, { to, log, json }: WhyFlags): Promise<ExitCode> {
  const found: Fields[] = [];
  if (log === undefined) found.push(...(await askedOf(addressText(parseAddress(to)), id)));
  else for (const file of log) for await (const record of recordsIn(file, id)) found.push(record);
  if (json === true) printOut(JSON.stringify(found));
  else for (const [at, record] of found.entries()) printRecord(record, at > 0);
  if (found.length > 0) return EXIT.ok;
  printErr(
    log === undefined
      ? `no verdict with the id ${safeLine(id)} is kept: refusals are kept for 15 minutes, of allowed calls a sample (docs/verdicts.md); a decision log is searched by --log`
      : `no line of ${log.join(', ')} has the id ${safeLine(id)}`,
  );
  return EXIT.findings;
}

async function askedOf(to: string, id: string): Promise<readonly Fields[]> {
  const page = async (path: string, of: string): Promise<Fields> => {
    const query = new URLSearchParams({ id: of }).toString();
    const answer = await fetch(`http://${to}${path}?${query}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { ...((await answer.json()) as Fields), status: answer.status };
  };
  try {
    const { verdicts, status, error } = await page('/verdicts', id);
    if (!Array.isArray(verdicts))
      throw new Error(`it answers ${String(status)}${typeof error === 'string' ? `: ${error}` : ''}`);
    const found: Fields[] = [];
    for (const verdict of verdicts as readonly Fields[]) {
      const { verdict: same, rules, answers, limits, entry } = await page('/verdicts/why', String(verdict['id']));
      found.push(same === undefined ? verdict : { ...verdict, rules, answers, limits, entry });
    }
    return found;
  } catch (error) {
    throw new CliError('CLI_UNREACHABLE', `http://${to} has no verdicts: ${causeMessageOf(error)}`, { cause: error });
  }
}

/** Lines are searched as text first, since most of them are others. */
async function* recordsIn(file: string, id: string): AsyncGenerator<Fields> {
  const lines = createInterface({ input: file === '-' ? process.stdin : createReadStream(file) });
  const written = JSON.stringify(id).slice(1, -1);
  try {
    for await (const line of lines) {
      const record = line.includes(written) ? recordOf(jsonOf(line), id) : undefined;
      if (record !== undefined) yield record;
    }
  } catch (error) {
    throw new CliError('CLI_DECISION_LOG', `${file} cannot be read: ${systemReason(error)}`, { cause: error });
  }
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined; // the last line of a file that is being written, or another log
  }
}

/** The innermost object that has the id as a value: a `verdict.record` under some name, or the line itself. */
function recordOf(json: unknown, id: string): Fields | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined;
  for (const value of Object.values(json)) {
    const inner = recordOf(value, id);
    if (inner !== undefined && ('outcome' in inner || !('outcome' in json))) return inner;
  }
  return Object.values(json).includes(id) ? (json as Fields) : undefined;
}

/** In this order, if present; other fields follow. */
const FIRST = [
  'time',
  'outcome',
  'rule',
  'at',
  'revision',
  'id',
  'requestId',
  'call',
  'method',
  'host',
  'path',
] as const;
const LISTED = new Set(['reasons', 'attributes', 'quotaKeys', 'rules', 'answers', 'limits', 'entry']);

function printRecord(record: Fields, isLater: boolean): void {
  if (isLater) printOut();
  const isSaid = (value: unknown): boolean =>
    value !== null && value !== undefined && !(Array.isArray(value) && value.length === 0);
  const names = [...FIRST, ...Object.keys(record).filter((name) => !FIRST.some((one) => one === name))].filter(
    (name) => !LISTED.has(name) && isSaid(record[name]),
  );
  const rows = names.map((name) => [name, textOf(record[name])]);
  for (const line of columns(rows, [paintOut.name])) printOut(line);
  printList('why', [record['reasons']].flat().filter(isSaid).map(reasonText));
  printList(
    'looked at',
    Object.entries((record['attributes'] ?? {}) as Fields).map(([name, value]) => `${name} = ${textOf(value)}`),
  );
  printList('rules', (record['rules'] as readonly WhyRule[] | undefined)?.flatMap(ruleLines) ?? []);
  printList('answers', (record['answers'] as readonly WhyAnswer[] | undefined)?.map(answerText) ?? []);
  printList(
    'limits now',
    (record['limits'] as readonly QuotaInspection[] | undefined)?.map(
      ({ rule, state, limit }) =>
        `${rule}: ${state === undefined ? 'not known' : `${state.remaining} of ${limit} left`}`,
    ) ?? [],
  );
  printList(
    'access log entry',
    Object.entries((record['entry'] ?? {}) as Fields).map(([name, value]) => `${name} = ${textOf(value)}`),
  );
  printList('quota keys', [record['quotaKeys']].flat().filter(isSaid).map(textOf));
}

/** Reports decide nothing. */
function ruleLines({ name, action, mode, result, why, values, decided }: WhyRule): readonly string[] {
  if (action === 'report') return [];
  const part = why === null ? '' : `: ${why}`;
  const summary = `${name}${mode === 'shadow' ? ' (shadow)' : ''} ${result}${decided ? ', and decided' : ''}${part}`;
  return [summary, ...Object.entries(values).map(([attribute, value]) => `  ${attribute} = ${textOf(value)}`)].map(
    safeLine,
  );
}

function answerText({ rule, handler, says, reason, tookMs }: WhyAnswer): string {
  const took = tookMs === null ? '' : ` after ${tookMs} ms`;
  return safeLine(`${rule}: ${handler} says ${says}${took}${reason === null ? '' : `: ${reason}`}`);
}

function printList(title: string, lines: readonly string[]): void {
  if (lines.length === 0) return;
  printOut(paintOut.name(title));
  for (const line of lines) printOut(`  ${line}`);
}

/** A page of the server has objects, a decision log may have texts. */
function reasonText(reason: unknown): string {
  if (typeof reason !== 'object' || reason === null) return textOf(reason);
  const { rule, text, shadow } = reason as Fields;
  return safeLine(`${String(rule)}${shadow === true ? ' (shadow)' : ''}: ${String(text)}`);
}

const textOf = (value: unknown): string => safeLine(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
