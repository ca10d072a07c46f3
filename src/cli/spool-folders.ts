/** The folders of spools: `FOLDER/HANDLER/WORKER` for logs, `FOLDER/HANDLER/dead-letters` (and `dead-letters-WORKER`) beside them. */
import { readdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { readPolicyFiles } from '../core/rules/policy-files.ts';
import { parseDocuments } from '../core/rules/yaml/document.ts';
import { Findings } from '../core/rules/yaml/findings.ts';
import { nodeAt } from '../core/rules/yaml/nodes.ts';
import { SourceText } from '../core/rules/yaml/source-text.ts';
import { messageOf } from '../text/message-of.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { CliError } from './cli-error.ts';

export interface FolderFlags {
  readonly folder?: string;
  readonly policy?: string;
}

export interface SpooledHandler {
  readonly name: string;
  /** By worker number. */
  readonly logs: readonly { readonly worker: number; readonly folder: string }[];
  readonly deadLetters: readonly string[];
  /** Where dead letters are replayed: there always is a first worker. */
  readonly firstLog: string;
}

/** In the order of their names. */
export async function spooledHandlers(flags: FolderFlags): Promise<readonly SpooledHandler[]> {
  const folder = await folderOf(flags);
  const handlers: SpooledHandler[] = [];
  for (const name of await foldersIn(folder)) {
    const own = join(folder, name);
    const inside = await foldersIn(own);
    handlers.push({
      name,
      logs: inside
        .filter((one) => /^\d+$/.test(one))
        .map((one) => ({ worker: Number(one), folder: join(own, one) }))
        .toSorted((a, b) => a.worker - b.worker),
      deadLetters: inside.filter((one) => /^dead-letters(-\d+)?$/.test(one)).map((one) => join(own, one)),
      firstLog: join(own, '1'),
    });
  }
  return handlers;
}

async function foldersIn(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .toSorted();
  } catch (error) {
    throw new CliError('CLI_SPOOL', `${folder} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

async function folderOf({ folder, policy }: FolderFlags): Promise<string> {
  if ((folder === undefined) === (policy === undefined))
    throw new CliError('CLI_USAGE', 'expected --folder PATH or --policy PATH, one of them');
  return folder === undefined ? folderInPolicy(policy ?? '') : resolve(folder);
}

/** Only this setting is read, so that a policy with errors, or whose plugins are missing here, will do. */
async function folderInPolicy(path: string): Promise<string> {
  let found: string | undefined;
  for (const { file, text } of (await readPolicyFiles([resolve(path)])).files) {
    const { documents } = await parseDocuments(new SourceText(file, text), new Findings(), new TimeSlice());
    for (const { root } of documents) {
      const { node, whole } = nodeAt(root, ['settings', 'spool', 'folder']);
      if (whole && node.kind === 'scalar' && typeof node.value === 'string') found = resolve(dirname(file), node.value);
    }
  }
  if (found === undefined) throw new CliError('CLI_SPOOL', `${path} has no settings.spool.folder`);
  return found;
}
