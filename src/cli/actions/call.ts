import { addressText } from '../../transport/index.ts';
import { type DialFlags, dialTls } from '../dial-flags.ts';
import { parseAddress, parseTimeout } from '../flag-values.ts';
import { type Answer, callCheck, callLimit, callLog, formatAnswer } from '../call/index.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { readRequestFile } from '../request-file.ts';
import { paintOut } from '../../text/paint.ts';
import { printOut } from '../terminal.ts';
import { connectReason } from '../connect-reason.ts';

export interface CallFlags extends DialFlags {
  readonly to: string;
  readonly request: string;
  readonly timeout: string;
  readonly json?: true;
}

const CALLS = { check: callCheck, limit: callLimit, log: callLog } as const;

export async function call(kind: keyof typeof CALLS, flags: CallFlags): Promise<ExitCode> {
  const timeoutMs = parseTimeout(flags.timeout);
  const to = addressText(parseAddress(flags.to, { unix: true }));
  const { values } = readRequestFile(flags.request);
  const answer = await CALLS[kind](to, values, { timeoutMs, ...(await dialTls(flags)) });
  if (answer.outcome === 'error')
    throw new CliError(
      'CLI_UNREACHABLE',
      `${to} did not answer: ${answer.grpc.name}: ${connectReason(answer.grpc.message)}`,
    );
  if (flags.json === true) printOut(JSON.stringify(answer, null, 2));
  else printOut(coloured(answer));
  return answer.outcome === 'deny' || answer.outcome === 'over' ? EXIT.findings : EXIT.ok;
}

/** Colours the first line, the outcome. */
function coloured(answer: Answer): string {
  const [first = '', ...rest] = formatAnswer(answer).trimEnd().split('\n');
  const paint = answer.outcome === 'deny' || answer.outcome === 'over' ? paintOut.bad : paintOut.good;
  return [paint(first), ...rest].join('\n');
}
