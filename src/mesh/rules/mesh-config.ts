/**
 * The words of Istio's MeshConfig that have a meaning here.
 * **In**: a YAML file. **Out**: settings of a mesh. **Fails**: with findings at the field; a word without effect is a warning.
 */
import { z } from 'zod';
import { TimeSlice } from '../../time/time-slice.ts';
import { parseDocuments } from '../../yaml/document.ts';
import type { Findings } from '../../yaml/findings.ts';
import { type MapNode, nodeAt, nodeText, plain } from '../../yaml/nodes.ts';
import { parsedBy } from '../../yaml/schema-findings.ts';
import { SourceText } from '../../yaml/source-text.ts';
import type { MeshErrorCode } from '../errors.ts';
import type { MeshSettings } from '../model/mesh.ts';
import { tcpKeepalive } from './destination-rule.ts';
import { labelSelector } from './label-selector.ts';
import { localityLbSetting } from './locality.ts';
import { duration, exportTo, label } from './values.ts';
import { retries } from './virtual-service.ts';

const port = (standard: number): z.ZodType => z.literal(standard, `only ${standard} has listeners here`).optional();

const known = {
  rootNamespace: label.optional(),
  trustDomain: z.string().min(1).optional(),
  trustDomainAliases: z.array(z.string().min(1)).optional(),
  outboundTrafficPolicy: z.strictObject({ mode: z.enum(['REGISTRY_ONLY', 'ALLOW_ANY']).optional() }).optional(),
  inboundTrafficPolicy: z.strictObject({ mode: z.enum(['PASSTHROUGH', 'LOCALHOST']).optional() }).optional(),
  discoverySelectors: z.array(labelSelector).optional(),
  localityLbSetting: localityLbSetting.optional(),
  defaultServiceExportTo: exportTo,
  defaultVirtualServiceExportTo: exportTo,
  defaultDestinationRuleExportTo: exportTo,
  accessLogFile: z.string().optional(),
  accessLogEncoding: z.enum(['TEXT', 'JSON']).optional(),
  connectTimeout: duration.optional(),
  tcpKeepalive: tcpKeepalive.optional(),
  h2UpgradePolicy: z.enum(['DO_NOT_UPGRADE', 'UPGRADE']).optional(),
  pathNormalization: z
    .strictObject({
      normalization: z.enum(['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']).optional(),
    })
    .optional(),
  defaultHttpRetryPolicy: retries.optional(),
  meshMTLS: z.looseObject({ minProtocolVersion: z.enum(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']).optional() }).optional(),
  proxyListenPort: port(15_001),
  proxyInboundListenPort: port(15_006),
};
const schema = z.looseObject(known);

/** `sluice inject`, `sluice webhook` and `sluice sidecar` read them. */
const READ_BY_OTHERS: readonly string[] = ['defaultConfig'];

export interface MeshConfig {
  readonly settings: Partial<MeshSettings>;
  readonly trustDomain: string | undefined;
  readonly trustDomainAliases: readonly string[];
}

export async function readMeshConfig(file: string, text: string, findings: Findings): Promise<MeshConfig | undefined> {
  const { documents, broken } = await parseDocuments(new SourceText(file, text), findings, new TimeSlice());
  const [document] = documents;
  if (broken) return undefined;
  if (document === undefined) return { settings: {}, trustDomain: undefined, trustDomainAliases: [] };
  const { root } = document;
  const report = (severity: 'error' | 'warning', code: MeshErrorCode, at: typeof root, message: string): void =>
    findings.add(severity, code, at.place, message);
  if (root.kind !== 'map') {
    report('error', 'MESH_FIELD', root, `expected the fields of a MeshConfig; found ${nodeText(root)}`);
    return undefined;
  }
  for (const [key] of root.entries)
    if (!Object.hasOwn(known, key) && !READ_BY_OTHERS.includes(key)) warnUnknown(root, [key], findings);
  const mutual = root.entries.get('meshMTLS')?.value;
  for (const [key] of mutual?.kind === 'map' ? mutual.entries : [])
    if (key !== 'minProtocolVersion') warnUnknown(root, ['meshMTLS', key], findings);
  const parsed = parsedBy(schema, plain(root), root, 'MESH_FIELD', 'the MeshConfig', findings)?.value;
  return parsed === undefined ? undefined : configOf(parsed as z.output<typeof schema>);
}

function warnUnknown(root: MapNode, path: readonly string[], findings: Findings): void {
  const { entry, node } = nodeAt(root, path);
  findings.add(
    'warning',
    'MESH_RULE',
    entry?.keyPlace ?? node.place,
    `${path.join('.')} of a MeshConfig has no effect here`,
  );
}

function configOf(config: z.output<typeof schema>): MeshConfig {
  const { rootNamespace, outboundTrafficPolicy, inboundTrafficPolicy, accessLogFile, accessLogEncoding } = config;
  return {
    settings: {
      ...(rootNamespace === undefined ? {} : { rootNamespace }),
      ...(outboundTrafficPolicy?.mode === undefined ? {} : { outbound: outboundTrafficPolicy.mode }),
      inbound: inboundTrafficPolicy?.mode,
      discoverySelectors: config.discoverySelectors,
      localityLb: config.localityLbSetting,
      exportTo: {
        service: config.defaultServiceExportTo,
        virtualService: config.defaultVirtualServiceExportTo,
        destinationRule: config.defaultDestinationRuleExportTo,
      },
      accessLogFile:
        accessLogFile === undefined || accessLogFile === ''
          ? undefined
          : { path: accessLogFile, isJson: accessLogEncoding === 'JSON' },
      connections: {
        connectTimeout: config.connectTimeout,
        tcpKeepalive: config.tcpKeepalive,
        h2UpgradePolicy: config.h2UpgradePolicy,
      },
      pathNormalization: config.pathNormalization?.normalization,
      retries: config.defaultHttpRetryPolicy,
      mutualTlsFrom: config.meshMTLS?.minProtocolVersion === 'TLSV1_3' ? 'TLSv1_3' : undefined,
    },
    trustDomain: config.trustDomain,
    trustDomainAliases: config.trustDomainAliases ?? [],
  };
}
