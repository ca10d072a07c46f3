/**
 * `sluice/cases`: runs the cases of policies as `sluice test` does, for an author's or operator's own test runner.
 * **In**: paths of case files and folders. **Out**: each case with its failures. **Fails**: never; policies and cases that cannot be
 * loaded are findings.
 */
import { builtIns } from '../../adapters/loading/built-in.ts';
import type { Finding } from '../../yaml/findings.ts';
import { findCases } from './files.ts';
import { realAdapters } from './real-adapters.ts';
import { type CaseResult, runCase } from './run.ts';

export type { Finding } from '../../yaml/findings.ts';
export type { CaseResult } from './run.ts';

export interface FoundCases {
  readonly findings: readonly Finding[];
  /** How many `results` yields. */
  readonly count: number;
  /** Runs them one after the other, each on an engine of its own. */
  readonly results: AsyncIterable<CaseResult>;
}

/** `through`: calls of the engine, or calls over gRPC as Envoy makes them, to a server of the case's own. */
export async function casesOf(
  paths: readonly string[],
  { through = 'process' }: { readonly through?: 'process' | 'grpc' } = {},
): Promise<FoundCases> {
  const adapters = await builtIns().including(['quota-memory']);
  const { cases, findings } = await findCases(paths, adapters);
  const drive = through === 'grpc' ? (await import('./grpc-driver.ts')).overGrpc : undefined;
  const options = { adapters, open: realAdapters(), ...(drive === undefined ? {} : { drive }) };
  async function* results(): AsyncGenerator<CaseResult, void, undefined> {
    for (const { case: one, policy, position } of cases)
      yield { name: one.name, position, failures: await runCase(one, policy, options) };
  }
  return { findings, count: cases.length, results: results() };
}
