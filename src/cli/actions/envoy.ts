/** Envoy's side of a policy: printed, or checked. */
import { readFile } from 'node:fs/promises';
import { builtIns } from '../../adapters/loading/built-in.ts';
import { findingsCount } from '../../yaml/findings.ts';
import { envoyBootstrap, envoySnippet } from '../../envoy/bootstrap.ts';
import { descriptorsOfFiles } from '../../envoy/descriptors.ts';
import { type Needs, needsOf } from '../../envoy/needs.ts';
import { DEFAULT_OPTIONS, type EnvoyOptions } from '../../envoy/options.ts';
import { StartError } from '../../serve/errors.ts';
import { messageOf } from '../../text/message-of.ts';
import { paintErr, paintOut } from '../../text/paint.ts';
import { durationMs } from '../../time/duration.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingLines, findingRow } from '../findings.ts';
import { parseAddress } from '../flag-values.ts';
import { checkLimits, holdLimits, readLimitFiles } from '../limits/limit-files.ts';
import { loadOrStop } from '../load.ts';
import { print, printErr, printOut } from '../terminal.ts';

export interface EnvoyFlags {
  readonly full?: true;
  readonly istio?: true;
  readonly gateway?: true;
  readonly check?: string;
  readonly address: string;
  readonly timeout?: string;
  readonly fail?: 'open' | 'closed';
  readonly otlp?: true;
  readonly tcp?: true;
  readonly json?: true;
}

export async function envoy(configs: readonly string[], flags: EnvoyFlags): Promise<ExitCode> {
  const options = optionsOf(flags);
  const needs = await needsOfPaths(configs);
  if (flags.check !== undefined) return check(flags.check, needs, options, flags);
  print(process.stdout, await written(needs, options, flags));
  return EXIT.ok;
}

async function written(needs: Needs, options: EnvoyOptions, { full, istio, gateway }: EnvoyFlags): Promise<string> {
  if (istio === true) return (await import('../../envoy/istio.ts')).istioObjects(needs, options);
  if (gateway === true) return (await import('../../envoy/gateway.ts')).gatewayObjects(needs, options);
  return full === true ? envoyBootstrap(needs, options) : envoySnippet(needs, options);
}

function optionsOf({ address, timeout, fail, otlp, tcp }: EnvoyFlags): EnvoyOptions {
  const { host, port } = parseAddress(address);
  const timeoutMs = timeout === undefined ? undefined : durationMs(timeout);
  if (timeout !== undefined && timeoutMs === undefined)
    throw new CliError('CLI_USAGE', `--timeout is "${timeout}"; expected a duration, such as 200ms`);
  return {
    ...DEFAULT_OPTIONS,
    host,
    port,
    timeoutMs,
    failOpen: fail === undefined ? undefined : fail === 'open',
    isOtlp: otlp === true,
    withTcp: tcp === true,
  };
}

/** Policies and files of rate limits are told apart by path. */
async function needsOfPaths(paths: readonly string[]): Promise<Needs> {
  const policies: string[] = [];
  const limits: string[] = [];
  for (const path of paths) ((await holdLimits([path])) ? limits : policies).push(path);
  return needsOf(
    policies.length === 0 ? undefined : await loadOrStop(policies, builtIns()),
    limits.length === 0 ? [] : await descriptorsOfLimits(limits),
  );
}

async function descriptorsOfLimits(paths: readonly string[]): Promise<ReturnType<typeof descriptorsOfFiles>> {
  const { findings } = await checkLimits(paths);
  for (const line of findingLines(findings, paintErr)) printErr(line);
  if (findings.some(({ severity }) => severity === 'error'))
    throw new StartError('CLI_POLICY', `the limits have ${findingsCount(findings)}`);
  const { files } = await readLimitFiles(paths);
  return descriptorsOfFiles(files.map(({ text }) => text));
}

async function check(file: string, needs: Needs, options: EnvoyOptions, { json }: EnvoyFlags): Promise<ExitCode> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CliError('CLI_ENVOY_FILE', `${file} cannot be read: ${messageOf(error)}`, { cause: error });
  });
  const { checkEnvoy } = await import('../../envoy/check/check.ts');
  const findings = await checkEnvoy(file, text, needs, options);
  const isWrong = findings.some(({ severity }) => severity === 'error');
  if (json === true) printOut(JSON.stringify({ ok: !isWrong, findings: findings.map(findingRow) }, null, 2));
  else {
    for (const line of findingLines(findings, paintOut)) printOut(line);
    printOut(
      findings.length > 0 ? findingsCount(findings) : `${paintOut.good('good')}  ${file} has all that the policy needs`,
    );
  }
  return isWrong ? EXIT.findings : EXIT.ok;
}
