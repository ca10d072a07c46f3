/** `sluice limits explain|inspect|reset`: asks a running `sluice ratelimit` about one descriptor. */
import { messageOf } from '../../core/errors.ts';
import type { Inspection } from '../../ratelimit/inspection.ts';
import { addressText } from '../../transport/index.ts';
import { parseAddress } from '../address.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { shownPath } from '../findings.ts';
import type { LimitsFlags } from '../program.ts';
import { paintOut, say } from '../terminal.ts';

export async function limits(what: 'explain' | 'inspect' | 'reset', domain: string, entries: readonly string[], flags: LimitsFlags): Promise<ExitCode> {
  const to = addressText(parseAddress(flags.to));
  const query = new URLSearchParams({ domain });
  for (const entry of entries) {
    const at = entry.indexOf('=');
    if (at <= 0) throw new CliError('CLI_USAGE', `"${entry}" is no entry; KEY=VALUE is expected`, { exit: EXIT.usage });
    query.append('key', entry.slice(0, at));
    query.append('value', entry.slice(at + 1));
  }
  let answer: Response;
  try {
    answer = await fetch(`http://${to}/limits/${what}?${query.toString()}`, { method: what === 'reset' ? 'POST' : 'GET' });
  } catch (error) {
    throw new CliError('CLI_UNREACHABLE', `http://${to} does not answer: ${messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error)}`, { cause: error });
  }
  if (!answer.ok) throw new CliError('CLI_UNREACHABLE', `http://${to} answers ${answer.status}: ${await answer.text()}`);
  const told = await answer.json() as Inspection;
  if (flags.json === true) say(JSON.stringify(told));
  else for (const line of linesOf(what, told)) say(line);
  return told.limit === undefined ? EXIT.findings : EXIT.ok;
}

function* linesOf(what: 'explain' | 'inspect' | 'reset', { why, limit, counter, resetS, count, heldHere, remaining }: Inspection): Generator<string> {
  for (const line of why) yield `  ${line}`;
  if (limit === undefined) return yield paintOut.warn('no limit: it passes');
  const [file = '', ...place] = limit.at.split(/:(?=\d+:\d+$)/);
  const more = [limit.shadow ? 'shadow: never over' : '', limit.quota ? 'a quota' : '', limit.name === '' ? '' : `named ${limit.name}`, limit.replaces.length === 0 ? '' : `replaces ${limit.replaces.join(', ')}`].filter((text) => text !== '');
  yield `${paintOut.strong(limit.rule)}  ${limit.unlimited ? 'unlimited' : `${limit.requestsPerUnit} per ${limit.unit.toLowerCase()}`}${more.length === 0 ? '' : `, ${more.join(', ')}`}  ${paintOut.faint([shownPath(file), ...place].join(':'))}`;
  if (counter === undefined) return;
  yield `  counter    ${counter}`;
  yield `  ends in    ${resetS} s`;
  if (count === undefined) return;
  yield `  ${what === 'reset' ? 'was at     ' : 'is at      '}${count}, ${remaining} left${heldHere === undefined || heldHere === 0 ? '' : `; ${heldHere} of them held here`}`;
  if (what === 'reset') yield paintOut.good('it begins anew');
}
