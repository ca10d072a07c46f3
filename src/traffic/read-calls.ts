/**
 * **In**: files and folders of recorded calls, or of access logs, in order. **Out**: the calls of their lines, one after the other.
 * **Fails**: never; what cannot be read is added to the problems, with its place.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemReason } from '../text/system-reason.ts';
import type { TrafficErrorCode, TrafficProblems } from './errors.ts';
import { FORMAT_VERSION, MAX_LINE_BYTES, type RecordedCall } from './format.ts';
import { linesOf } from './lines.ts';
import { isObject, type JsonObject } from '../text/json-object.ts';
import { callOf, shown } from './parse-call.ts';

export interface ReadOptions {
  readonly problems: TrafficProblems;
  /** Reads an entry of an access log, which has no `call`. */
  readonly entryOf?: (entry: JsonObject) => RecordedCall | string;
}

/** Where a call was read. */
export interface ReadCall {
  readonly file: string;
  readonly line: number;
  readonly call: RecordedCall;
}

/** Names of files in a folder. */
const CALLS = /\.(?:ndjson|jsonl|json|log)(?:\.gz|\.zst)?$/;

export async function* readCalls(paths: readonly string[], options: ReadOptions): AsyncGenerator<ReadCall> {
  for (const path of paths) {
    try {
      for (const file of await filesOf(path)) yield* callsIn(file, options);
    } catch (error) {
      options.problems.add({
        file: path,
        line: 0,
        code: 'TRAFFIC_UNREADABLE',
        message: systemReason(error),
      });
    }
  }
}

/** The files of a folder, in the order of their names. */
async function filesOf(path: string): Promise<readonly string[]> {
  if (path === '-' || !(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).filter((name) => CALLS.test(name));
  if (names.length === 0)
    throw new Error('the folder has no file of calls: .ndjson, .jsonl, .json, .log, also .gz and .zst');
  return names.toSorted().map((name) => join(path, name));
}

async function* callsIn(file: string, { problems, entryOf }: ReadOptions): AsyncGenerator<ReadCall> {
  let line = 0;
  const problem = (code: TrafficErrorCode, message: string): void => problems.add({ file, line, code, message });
  try {
    for await (const lines of linesOf(file, MAX_LINE_BYTES)) {
      for (const bytes of lines) {
        line++;
        if (bytes === null) {
          problem('TRAFFIC_LINE_TOO_LONG', `the line is longer than ${MAX_LINE_BYTES} bytes`);
          continue;
        }
        if (bytes.length <= 1 && bytes.toString().trim() === '') continue;
        const json = jsonOf(bytes);
        if (json === undefined) {
          problem('TRAFFIC_NOT_JSON', `the line is not JSON: ${shown(bytes.toString('utf8', 0, 80))}`);
          continue;
        }
        if (!isObject(json)) {
          problem('TRAFFIC_NOT_A_CALL', `the line is ${shown(json)}; expected an object`);
          continue;
        }
        if (json['sluice'] === 'calls') {
          problems.skip(json['skipped']);
          if (json['version'] === FORMAT_VERSION) continue;
          problem('TRAFFIC_VERSION', `the version is ${shown(json['version'])}; this one reads ${FORMAT_VERSION}`);
          return;
        }
        const call = entryOf === undefined || 'call' in json ? callOf(json) : entryOf(json);
        if (typeof call === 'string') problem('TRAFFIC_NOT_A_CALL', call);
        else yield { file, line, call };
      }
    }
  } catch (error) {
    problem('TRAFFIC_UNREADABLE', systemReason(error));
  }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
