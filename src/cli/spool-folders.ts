/** The folder of the spools that a command names, by itself or by a policy. */
import { dirname, resolve } from 'node:path';
import { type SpooledHandler, spooledHandlers } from '../core/handlers/spooled/folders.ts';
import { readPolicyFiles } from '../yaml/policy-files.ts';
import { parseDocuments } from '../yaml/document.ts';
import { Findings } from '../yaml/findings.ts';
import { nodeAt } from '../yaml/nodes.ts';
import { SourceText } from '../yaml/source-text.ts';
import { systemReason } from '../text/system-reason.ts';
import { TimeSlice } from '../time/time-slice.ts';
import { CliError } from './cli-error.ts';

export interface FolderFlags {
  readonly folder?: string;
  readonly policy?: string;
}

/** In the order of their names. */
export async function handlersIn(flags: FolderFlags): Promise<readonly SpooledHandler[]> {
  const folder = await folderOf(flags);
  try {
    return await spooledHandlers(folder);
  } catch (error) {
    throw new CliError('CLI_SPOOL', `${folder} cannot be read: ${systemReason(error)}`, { cause: error });
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
