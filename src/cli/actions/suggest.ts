/**
 * `sluice suggest`: a policy from recorded calls.
 * **In**: files of calls. **Out**: YAML on stdout, with the evidence in comments; or the proposal as JSON.
 * **Fails**: with exit code 1 if no rule can be proposed; lines that cannot be read are reported on stderr.
 */
import { counted } from '../../text/counted.ts';
import { type Grouping, Observations } from '../../traffic/suggest/observations.ts';
import { policyText } from '../../traffic/suggest/policy-text.ts';
import { proposalOf } from '../../traffic/suggest/proposal.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { printErr, printOut } from '../terminal.ts';
import { parseDuration } from '../flag-values.ts';
import { Traffic } from './replay.ts';

export interface SuggestFlags {
  readonly groupBy: Grouping;
  readonly minCalls: string;
  readonly headroom: string;
  readonly per: string;
  readonly trustedHops?: string;
  readonly map?: readonly string[];
  readonly json?: true;
}

export async function suggest(files: readonly string[], flags: SuggestFlags): Promise<ExitCode> {
  const minCalls = numberOf('--min-calls', flags.minCalls, (value) => Number.isInteger(value) && value >= 1);
  const headroom = numberOf('--headroom', flags.headroom, (value) => value >= 1 && value <= 1e6);
  const windowMs = parseDuration('--per', flags.per);
  if (windowMs < 1000)
    throw new CliError('CLI_USAGE', `--per is "${flags.per}"; expected a span of at least 1s, such as 1m`);
  const trustedHops =
    flags.trustedHops === undefined
      ? undefined
      : numberOf('--trusted-hops', flags.trustedHops, (value) => Number.isInteger(value) && value >= 0 && value <= 100);
  const observations = new Observations({ groupBy: flags.groupBy, trustedHops, windowMs });
  const traffic = new Traffic(files, { map: [CODES, ...(flags.map ?? [])] });
  for await (const { call } of traffic.calls()) observations.add(call);
  traffic.requireCalls(observations.all.calls);
  traffic.printNotes();
  const proposal = proposalOf(observations, { minCalls, headroom });
  if (flags.json === true) printOut(JSON.stringify(proposal, null, 2));
  else if (proposal.rules.length > 0) printOut(policyText(proposal).trimEnd());
  if (proposal.rules.length > 0) return EXIT.ok;
  const why = proposal.leftOut.map((left) => `${left.why}: ${left.calls}`).join('; ');
  printErr(`no rule to propose from ${counted(proposal.calls, 'call')}${why === '' ? '' : `; left out: ${why}`}`);
  return EXIT.findings;
}

/** A replay decides calls as they arrive; here the answer counts, too. */
const CODES = 'response_code=response.code';

function numberOf(flag: string, text: string, isValid: (value: number) => boolean): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!isValid(value)) throw new CliError('CLI_USAGE', `${flag} is "${text}"; expected a number in its range`);
  return value;
}
