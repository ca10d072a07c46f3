/**
 * `sluice record`: keeps the calls that a running server decides.
 * **In**: an admin port. **Out**: a file of calls, and a summary on stderr. **Fails**: with a CliError if the server cannot be reached at
 * first, or the file cannot be written; what was written until then stays, and ends with a whole line.
 */
import { counted, grouped } from '../../text/counted.ts';
import { messageOf } from '../../text/message-of.ts';
import { addressText } from '../../transport/index.ts';
import { CallFile, CALLS_HEAD } from '../../traffic/record/call-file.ts';
import { recordedStream, RecordRefused } from '../../traffic/record/recorded-stream.ts';
import { safeLine } from '../../log/safe-text.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { parseAddress, parseBytes, parseDuration, parsePercent } from '../flag-values.ts';
import { printErr } from '../terminal.ts';

export interface RecordFlags {
  readonly to: string;
  readonly admin: string;
  readonly share: string;
  readonly for?: string;
  readonly maxBytes: string;
  readonly keep: string;
  readonly bodies?: true;
}

export async function record(flags: RecordFlags): Promise<ExitCode> {
  const share = parsePercent('--share', flags.share);
  const forMs = flags.for === undefined ? undefined : parseDuration('--for', flags.for);
  const maxBytes = parseBytes('--max-bytes', flags.maxBytes);
  const keep = Number(flags.keep);
  if (!Number.isSafeInteger(keep) || keep < 0)
    throw new CliError('CLI_USAGE', `--keep is "${flags.keep}"; expected a number of files`);
  const admin = addressText(parseAddress(flags.admin));
  const file = await onFile(flags.to, () => CallFile.open({ path: flags.to, maxBytes, keep }));
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  const timer = forMs === undefined ? undefined : setTimeout(stop, forMs);
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const tally = new Tally();
  const lines = recordedStream({
    base: `http://${admin}`,
    share,
    bodies: flags.bodies === true,
    signal: stopping.signal,
    onBegin: () => printErr(safeLine(`recording the calls of ${admin} in ${flags.to}`)),
    onAway: (why) => printErr(safeLine(`${admin} is away: ${why}; trying again until it is back`)),
    onBack: (afterMs) =>
      printErr(`${admin} is back after ${(afterMs / 1000).toFixed(1)} s; its calls of that time are missing`),
  });
  try {
    for await (const batch of lines) {
      await onFile(flags.to, () => file.write(batch));
      tally.add(batch);
    }
  } catch (error) {
    if (error instanceof RecordRefused)
      throw new CliError('CLI_UNREACHABLE', `calls of http://${admin} cannot be recorded: ${error.message}`, {
        cause: error,
      });
    throw error;
  } finally {
    clearTimeout(timer);
    process.off('SIGINT', stop).off('SIGTERM', stop);
    await file.close();
    printErr(`${tally.text} in ${flags.to}, ${sizeText(file.written)} in ${counted(file.rotations + 1, 'file')}`);
  }
  return EXIT.ok;
}

async function onFile<T>(path: string, does: () => Promise<T>): Promise<T> {
  try {
    return await does();
  } catch (error) {
    throw new CliError('CLI_CALLS_FILE', `${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

const LF = 0x0a;

/** Of the lines that were written. */
class Tally {
  #calls = 0;
  #skipped = 0;
  #isSkippedKnown = true;

  add(lines: Buffer): void {
    for (let from = 0; from < lines.length;) {
      const end = lines.indexOf(LF, from);
      if (lines.compare(CALLS_HEAD, 0, CALLS_HEAD.length, from, Math.min(from + CALLS_HEAD.length, end)) === 0) {
        const { skipped = 0 } = JSON.parse(lines.toString('utf8', from, end)) as { readonly skipped?: number | null };
        this.#skipped += skipped ?? 0;
        if (skipped === null) this.#isSkippedKnown = false;
      } else if (end > from) this.#calls++;
      from = end + 1;
    }
  }

  get text(): string {
    const calls = counted(this.#calls, 'call');
    if (this.#skipped === 0 && this.#isSkippedKnown) return calls;
    return `${calls}, without ${this.#isSkippedKnown ? '' : 'at least '}${grouped(this.#skipped)} that did not fit,`;
  }
}

const sizeText = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
