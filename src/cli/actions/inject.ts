/**
 * `sluice inject`: sidecars for manifests.
 * **In**: manifests in a file or on stdin. **Out**: the injected ones on stdout or in a file; messages about objects on stderr.
 * **Fails**: with the position of the first document that cannot be injected; what stood before it has been written to stdout.
 */
import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { INJECT_ERRORS, InjectError } from '../../inject/errors.ts';
import { injectManifests, ManifestFault } from '../../inject/manifests.ts';
import { writeYaml } from '../../inject/write-yaml.ts';
import { safeText } from '../../log/safe-text.ts';
import { messageOf } from '../../text/message-of.ts';
import { paintErr } from '../../text/paint.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingText } from '../findings.ts';
import { printErr, printOut } from '../terminal.ts';
import { configFrom, type ConfigFlags, meshFrom } from './inject-config.ts';

export interface InjectFlags extends ConfigFlags {
  readonly filename?: string;
  readonly output?: string;
  readonly emitTemplate?: true;
}

export async function inject(flags: InjectFlags): Promise<ExitCode> {
  const { filename, output, emitTemplate } = flags;
  if (emitTemplate === true && filename !== undefined)
    throw new CliError('CLI_USAGE', '--filename and --emitTemplate are mutually exclusive');
  if (filename === undefined && emitTemplate !== true)
    throw new CliError('CLI_USAGE', 'filename not specified (see --filename or -f)');
  try {
    const config = await configFrom(flags);
    if (filename === undefined) {
      printOut(writeYaml({ policy: config.policy, template: config.template }).trimEnd());
      return EXIT.ok;
    }
    const manifests = injectManifests(await inputOf(filename), {
      config,
      mesh: await meshFrom(flags),
      file: filename === '-' ? '<stdin>' : filename,
      onMessage: (message) => printErr(safeText(message)),
    });
    await (output === undefined ? toStdout(manifests) : toFile(manifests, output));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof ManifestFault) printErr(findingText(error.finding, paintErr));
    else if (error instanceof InjectError)
      printErr(`${paintErr.bad(error.code)} ${safeText(error.message)}\n  ${INJECT_ERRORS[error.code].fix}`);
    else throw error;
    return EXIT.findings;
  }
}

async function inputOf(filename: string): Promise<AsyncIterable<Uint8Array>> {
  if (filename === '-') return process.stdin;
  try {
    return (await open(filename)).createReadStream({ highWaterMark: 1 << 18 });
  } catch (error) {
    throw new CliError('CLI_FILE', `${filename} cannot be read: ${messageOf(error)}`);
  }
}

type Manifests = AsyncIterable<Uint8Array | string>;

/** A reader that has enough (`| head`) is no failure. */
async function toStdout(manifests: Manifests): Promise<void> {
  try {
    await pipeline(Readable.from(manifests, { objectMode: true, highWaterMark: 1 }), process.stdout, { end: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
}

/** The file may be the one that is read: it is replaced at the end, and stays as it was if a document cannot be injected. */
async function toFile(manifests: Manifests, output: string): Promise<void> {
  const isFile = await stat(output).then(
    (found) => found.isFile(),
    () => true,
  );
  const path = isFile ? `${output}.${process.pid}.tmp` : output;
  try {
    await pipeline(Readable.from(manifests, { objectMode: true, highWaterMark: 1 }), written(path));
    if (isFile) await rename(path, output);
  } catch (error) {
    if (isFile) await rm(path, { force: true });
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw new CliError('CLI_FILE', `${output} cannot be written: ${messageOf(error)}`);
  }
}

const written = (path: string): Writable => createWriteStream(path);
