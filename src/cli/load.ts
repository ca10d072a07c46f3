/** Loads a policy for the commands that do not serve. */
import { resolve } from 'node:path';
import { isSelfContained } from '../adapters/description.ts';
import type { Registry } from '../adapters/registry.ts';
import { createEngine } from '../core/engine.ts';
import { SnapshotError } from '../core/snapshot/errors.ts';
import { type Finding, findingsCount } from '../yaml/findings.ts';
import { type LoadedPolicy, loadPolicy } from '../core/rules/load.ts';
import type { Policy } from '../core/rules/policy.ts';
import { unopened } from './cases/handlers.ts';
import { StartError } from '../serve/errors.ts';
import { findingLines } from './findings.ts';
import { SILENT } from '../log/log.ts';
import { handlerOpener } from '../serve/policy/handler-opener.ts';
import { paintErr } from '../text/paint.ts';
import { printErr } from './terminal.ts';

export interface Loaded {
  /** `undefined` if there are errors. */
  readonly policy: Policy | undefined;
  /** Errors and warnings, in the order of files and lines. */
  readonly findings: readonly Finding[];
}

export async function load(configs: readonly string[], registry: Registry, isLenient = false): Promise<LoadedPolicy> {
  return loadPolicy(
    configs.map((path) => resolve(path)),
    { adapters: registry, unsetEnv: 'warning', isLenient },
  );
}

/** Also opens the handlers without a backend, so that a missing file of a list is an error. */
export async function loadAndTry(configs: readonly string[], registry: Registry, isLenient = false): Promise<Loaded> {
  const { policy, findings } = await load(configs, registry, isLenient);
  if (policy === undefined) return { policy, findings };
  const { openHandlers } = handlerOpener(SILENT);
  const engine = createEngine({
    openHandlers: async (spec) =>
      isSelfContained(spec.implementation, spec.config)
        ? openHandlers(spec)
        : unopened(`${spec.name} is not opened here`),
  });
  try {
    await (await engine.prepare(policy)).abandon();
    return { policy, findings };
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error;
    return { policy: undefined, findings: [...findings, ...error.findings] };
  } finally {
    await engine.drain();
  }
}

/** Prints the findings. Throws if there are errors. */
export async function loadOrStop(configs: readonly string[], registry: Registry): Promise<Policy> {
  const { policy, findings } = await load(configs, registry);
  for (const line of findingLines(findings, paintErr)) printErr(line);
  if (policy === undefined) throw new StartError('CLI_POLICY', `the policy has ${findingsCount(findings)}`);
  return policy;
}
