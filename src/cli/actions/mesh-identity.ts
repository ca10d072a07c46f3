/** The flags of `sluice mesh --secure`. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { isTrustDomain } from '../../identity/spiffe.ts';
import type { SigningFiles } from '../../identity/signing-files.ts';
import type { OwnRootPlace, SecureOptions } from '../../serve/mesh/secure-port.ts';
import type { ReadApiServer } from '../../kubernetes/index.ts';
import { CliError } from '../cli-error.ts';
import { parseAddress, parseDuration } from '../flag-values.ts';

export interface MeshIdentityFlags {
  readonly secure?: string;
  readonly secureNames?: string;
  readonly trustDomain?: string;
  readonly trustDomainAliases?: string;
  readonly caFolder?: string;
  readonly selfSignedCaCertTtl?: string;
  readonly rootCert?: string;
  readonly signingCert?: string;
  readonly signingKey?: string;
  readonly certChain?: string;
  readonly workloadCertTtl?: string;
  readonly maxWorkloadCertTtl?: string;
  readonly jwks?: string;
  readonly tokenIssuer?: string;
  readonly tokenAudience?: string;
  readonly rootConfigMaps?: 'on' | 'off';
}

/** The flags without meaning unless the port is open. */
const OF_SECURE: Readonly<Record<Exclude<keyof MeshIdentityFlags, 'secure'>, string>> = {
  secureNames: '--secure-names',
  trustDomain: '--trust-domain',
  trustDomainAliases: '--trust-domain-aliases',
  caFolder: '--ca-folder',
  selfSignedCaCertTtl: '--self-signed-ca-cert-ttl',
  rootCert: '--root-cert',
  signingCert: '--signing-cert',
  signingKey: '--signing-key',
  certChain: '--cert-chain',
  workloadCertTtl: '--workload-cert-ttl',
  maxWorkloadCertTtl: '--max-workload-cert-ttl',
  jwks: '--jwks',
  tokenIssuer: '--token-issuer',
  tokenAudience: '--token-audience',
  rootConfigMaps: '--root-config-maps',
};

const misused = (why: string): CliError => new CliError('CLI_USAGE', why);

/** `undefined` without `--secure`. Fails with CLI_USAGE. */
export function secureOf(
  flags: MeshIdentityFlags,
  apiServer: (() => ReadApiServer) | undefined,
): SecureOptions | undefined {
  const { secure, trustDomain = 'cluster.local', workloadCertTtl = '24h', maxWorkloadCertTtl = '90d' } = flags;
  if (secure === undefined) {
    const lost = Object.entries(OF_SECURE).find(([name]) => flags[name as keyof MeshIdentityFlags] !== undefined);
    if (lost !== undefined) throw misused(`${lost[1]} needs --secure, the port where workloads get their certificates`);
    return undefined;
  }
  const trustDomainAliases = listOf(flags.trustDomainAliases);
  for (const name of [trustDomain, ...trustDomainAliases])
    if (!isTrustDomain(name))
      throw misused(`${JSON.stringify(name)} is no trust domain; it has lower-case letters, digits, ".", "-" and "_"`);
  const ttl = {
    defaultMs: parseDuration('--workload-cert-ttl', workloadCertTtl),
    maxMs: parseDuration('--max-workload-cert-ttl', maxWorkloadCertTtl),
  };
  if (ttl.defaultMs > ttl.maxMs)
    throw misused(
      `--workload-cert-ttl ${workloadCertTtl} is longer than --max-workload-cert-ttl ${maxWorkloadCertTtl}`,
    );
  const names = listOf(flags.secureNames);
  for (const name of names)
    if (isIP(name) === 0 && !HOST.test(name))
      throw misused(`--secure-names has ${JSON.stringify(name)}, which is no name of a host`);
  if (flags.rootConfigMaps === 'on' && apiServer === undefined)
    throw misused('--root-config-maps on needs --kubeconfig or --in-cluster');
  return {
    address: parseAddress(secure),
    names,
    trustDomain,
    trustDomainAliases,
    signing: signingOf(flags, ttl.maxMs),
    ttl,
    jwt: jwtOf(flags),
    audience: flags.tokenAudience ?? 'istio-ca',
    rootConfigMaps: flags.rootConfigMaps !== 'off',
    apiServer,
  };
}

const HOST = /^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i;

function signingOf(flags: MeshIdentityFlags, maxTtlMs: number): OwnRootPlace | SigningFiles {
  const { caFolder, selfSignedCaCertTtl, rootCert, signingCert, signingKey, certChain } = flags;
  if (rootCert === undefined && signingCert === undefined && signingKey === undefined && certChain === undefined) {
    const rootTtlMs = parseDuration('--self-signed-ca-cert-ttl', selfSignedCaCertTtl ?? '3650d');
    if (rootTtlMs < maxTtlMs)
      throw misused(
        '--self-signed-ca-cert-ttl is shorter than --max-workload-cert-ttl; the root would end before certificates',
      );
    return { folder: caFolder === undefined ? undefined : resolve(caFolder), rootTtlMs };
  }
  if (rootCert === undefined || signingCert === undefined || signingKey === undefined)
    throw misused('--root-cert, --signing-cert and --signing-key go together');
  if (caFolder !== undefined || selfSignedCaCertTtl !== undefined)
    throw misused('--ca-folder and --self-signed-ca-cert-ttl are for a root of our own, not for --signing-cert');
  return {
    rootCert: resolve(rootCert),
    signingCert: resolve(signingCert),
    signingKey: resolve(signingKey),
    certChain: certChain === undefined ? undefined : resolve(certChain),
  };
}

function jwtOf({ jwks, tokenIssuer }: MeshIdentityFlags): SecureOptions['jwt'] {
  if ((jwks === undefined) !== (tokenIssuer === undefined)) throw misused('--jwks and --token-issuer go together');
  return jwks === undefined || tokenIssuer === undefined
    ? undefined
    : { jwks: /^https?:/i.test(jwks) ? jwks : resolve(jwks), issuer: tokenIssuer };
}

const listOf = (text = ''): readonly string[] => [
  ...new Set(
    text
      .split(',')
      .map((one) => one.trim())
      .filter((one) => one !== ''),
  ),
];
