/**
 * Reads the file of `--request`.
 * **In**: YAML or JSON of attributes, with the kind of call in `call:`. **Out**: plain values.
 * **Fails**: with CLI_REQUEST_FILE, which names the file and, for invalid YAML, the line.
 */
import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { CALL_KINDS, type CallKind } from '../attributes/carrier.ts';
import { CliError } from './cli-error.ts';
import { messageOf } from '../text/message-of.ts';

export interface RequestFile {
  /** The file's name, for messages. */
  readonly shown: string;
  /** `undefined` if the file does not name it. */
  readonly call: CallKind | undefined;
  /** The whole content of the file. */
  readonly values: Readonly<Record<string, unknown>>;
}

const FRAME = z.looseObject(
  { call: z.enum(CALL_KINDS).optional() },
  'expected a map of attributes: `request.method: GET`, one a line',
);

/** `-` is stdin. */
export function readRequestFile(path: string): RequestFile {
  const shown = path === '-' ? 'stdin' : path;
  const wrong = (why: string, cause?: unknown): CliError =>
    new CliError('CLI_REQUEST_FILE', `${shown}${why}`, { cause });
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw wrong(` cannot be read: ${messageOf(error)}`, error);
  }
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw wrong(`: ${problem.message}`, problem);
  const parsed = FRAME.safeParse(document.toJS());
  if (!parsed.success)
    throw wrong(
      `: ${parsed.error.issues.map(({ message, path: at }) => (at.length === 0 ? message : `${at.join('.')}: ${message}`)).join('; ')}`,
    );
  return { shown, call: parsed.data.call, values: parsed.data };
}
