/** What `sluice mesh` is told about a mesh as a whole: by Istio's MeshConfig, and by flags, which go before it. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { DEFAULT_SETTINGS, type MeshSettings } from '../../mesh/model/mesh.ts';
import { type MeshConfig, readMeshConfig } from '../../mesh/rules/mesh-config.ts';
import { StartError } from '../../serve/errors.ts';
import type { MeshServerOptions } from '../../serve/mesh/server.ts';
import { causeMessageOf } from '../../text/message-of.ts';
import { type Finding, Findings, findingsCount } from '../../yaml/findings.ts';
import { CliError } from '../cli-error.ts';
import type { MeshIdentityFlags } from './mesh-identity.ts';

export interface MeshSettingsFlags {
  readonly meshConfigFile?: string;
  readonly domain: string;
}
export interface MeshServingFlags extends MeshSettingsFlags {
  readonly outbound?: 'ALLOW_ANY' | 'REGISTRY_ONLY';
  readonly sluice?: string;
  readonly fail: 'open' | 'closed';
}

/** As docs/envoy.md has them. */
const TIMES = { checkTimeoutMs: 200, limitTimeoutMs: 20 };
const LIMIT_DOMAIN = 'mesh';

const NOTHING: MeshConfig = { settings: {}, trustDomain: undefined, trustDomainAliases: [] };

/** Throws a {@link StartError} if the file has errors, after `onFindings`. */
export async function meshConfigOf(
  { meshConfigFile }: MeshSettingsFlags,
  onFindings: (findings: readonly Finding[]) => void,
): Promise<MeshConfig> {
  if (meshConfigFile === undefined) return NOTHING;
  const file = resolve(meshConfigFile);
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CliError('CLI_USAGE', `--meshConfigFile ${meshConfigFile}: ${causeMessageOf(error)}`, { cause: error });
  });
  const findings = new Findings();
  const config = await readMeshConfig(file, text, findings);
  const all = findings.sorted([file]);
  onFindings(all);
  if (config === undefined) throw new StartError('CLI_MESH', `the MeshConfig has ${findingsCount(all)}`);
  return config;
}

export const settingsOf = (
  { domain, outbound, sluice, fail }: MeshServingFlags,
  { settings }: MeshConfig,
  secure: MeshServerOptions['secure'],
): MeshSettings => ({
  ...DEFAULT_SETTINGS,
  ...settings,
  domain,
  outbound: outbound ?? settings.outbound ?? DEFAULT_SETTINGS.outbound,
  sluice:
    sluice === undefined
      ? undefined
      : { cluster: sluice, ...TIMES, failOpen: fail === 'open', limitDomain: LIMIT_DOMAIN },
  identities:
    secure === undefined
      ? undefined
      : { trustDomain: secure.trustDomain, trustDomainAliases: secure.trustDomainAliases },
});

/** A trust domain has effect with --secure alone. */
export const withTrustDomain = <F extends MeshIdentityFlags>(flags: F, config: MeshConfig): F =>
  flags.secure === undefined
    ? flags
    : {
        ...flags,
        ...(config.trustDomain === undefined ? {} : { trustDomain: flags.trustDomain ?? config.trustDomain }),
        ...(config.trustDomainAliases.length === 0
          ? {}
          : { trustDomainAliases: flags.trustDomainAliases ?? config.trustDomainAliases.join(',') }),
      };
