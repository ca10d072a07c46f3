/**
 * Checks files of `sluice ratelimit` without a server.
 * **In**: paths. **Out**: the findings of `sluice ratelimit`, and counts of domains and limits. **Fails**: if a path cannot be read.
 */
import { stat } from 'node:fs/promises';
import { type PolicyFiles, readPolicyFiles } from '../../yaml/policy-files.ts';
import { type ConfigFile, readConfigs } from '../../ratelimit/config/read.ts';
import type { Node } from '../../ratelimit/config/tree.ts';
import { unreadableFile } from '../../ratelimit/serve/limit-source.ts';
import { findRuntimeFiles, type FoundFile, readFiles, type UnreadFile } from '../../ratelimit/serve/runtime-folder.ts';
import { readSettings } from '../../ratelimit/settings/settings.ts';
import type { Finding } from '../../yaml/findings.ts';

export interface CheckedLimits {
  readonly files: number;
  readonly domains: number;
  /** Further limits of a descriptor (`also`) count too. */
  readonly limits: number;
  readonly findings: readonly Finding[];
}

/** Matches a key at the top level, in block or flow style; on text, since the kind matters even if the document cannot be parsed. */
const topKey = (names: string): RegExp =>
  new RegExp(`(?:^|^---[ \\t]+)["']?(?:${names})["']?[ \\t]*:|^\\{\\s*["']?(?:${names})["']?\\s*:`, 'm');
const OF_POLICY = topKey('settings|plugins|attributes|handlers|rules|policy|cases');
const OF_LIMITS = topKey('domain|descriptors');

/** Whether these files are limits. A mix of limits and policy counts as a policy; loading it reports the limits by name. */
export async function holdLimits(paths: readonly string[]): Promise<boolean> {
  const policy: PolicyFiles = await readPolicyFiles(paths);
  const kind = kindOf(policy.files);
  if (kind !== undefined || policy.files.length > 0) return kind === 'limits';
  // Any extension, any encoding; loading as a policy reports unreadable files
  const { files } = await readLimitFiles(paths).catch(() => ({ files: [] }));
  return kindOf(files) === 'limits';
}

function kindOf(files: readonly { readonly text: string }[]): 'policy' | 'limits' | undefined {
  if (files.some(({ text }) => OF_POLICY.test(text))) return 'policy';
  return files.some(({ text }) => OF_LIMITS.test(text)) ? 'limits' : undefined;
}

/** Reads MERGE_DOMAIN_CONFIG, RUNTIME_IGNOREDOTFILES and USE_CALENDAR_MONTH_RATE_LIMIT from the environment. */
export async function checkLimits(paths: readonly string[]): Promise<CheckedLimits> {
  const { settings } = readSettings(process.env);
  const { files, unread } = await readLimitFiles(paths, settings.RUNTIME_IGNOREDOTFILES);
  const { domains, findings } = readConfigs(files, {
    mergeDomains: settings.MERGE_DOMAIN_CONFIG,
    calendarMonths: settings.USE_CALENDAR_MONTH_RATE_LIMIT,
  });
  return {
    files: files.length,
    domains: domains.size,
    limits: [...domains.values()].reduce((sum, root) => sum + limitsBelow(root), 0),
    findings: [
      ...unread.map(({ file, why }) =>
        unreadableFile(file, `this file cannot be read and is ignored: ${why}`, 'warning'),
      ),
      ...findings,
    ],
  };
}

export async function readLimitFiles(
  paths: readonly string[],
  ignoresDotFiles = false,
): Promise<{ readonly files: readonly ConfigFile[]; readonly unread: readonly UnreadFile[] }> {
  const found: FoundFile[] = [];
  for (const path of paths) {
    if ((await stat(path)).isDirectory())
      found.push(
        ...(await findRuntimeFiles({
          RUNTIME_ROOT: path,
          RUNTIME_SUBDIRECTORY: '',
          RUNTIME_APPDIRECTORY: '',
          RUNTIME_IGNOREDOTFILES: ignoresDotFiles,
          RUNTIME_WATCH_ROOT: false,
        })),
      );
    else found.push({ file: path, stamp: '' });
  }
  return readFiles([...new Map(found.map((one) => [one.file, one])).values()]);
}

/** A node that only ends a lease does not count. */
function limitsBelow({ limit, children }: Node): number {
  let sum = limit === undefined || limit.endsLease ? 0 : 1 + limit.also.length;
  for (const child of children.values()) sum += limitsBelow(child);
  return sum;
}
