/**
 * Envoy's network filter that asks Sluice about connections.
 * **In**: needs and options. **Out**: values for YAML, each with the rules that need it. **Fails**: never.
 */
import { CONTEXT_HEADER, contextHeader } from '../text/context-header.ts';
import { noted } from './commented-yaml.ts';
import { flag, grpcService, metadataNamespaces, type } from './filters.ts';
import type { Needs } from './needs.ts';
import { checkTimeout, type EnvoyOptions, PLACEHOLDER, rulesText, unknown } from './options.ts';

export const NETWORK_EXT_AUTHZ = 'envoy.filters.network.ext_authz';

export function tcpCheckFilter(needs: Needs, options: EnvoyOptions): unknown {
  return noted(
    {
      name: NETWORK_EXT_AUTHZ,
      typed_config: {
        ...type('envoy.extensions.filters.network.ext_authz.v3.ExtAuthz'),
        stat_prefix: 'sluice',
        transport_api_version: 'V3',
        grpc_service: { ...grpcService(options, checkTimeout(options)), initial_metadata: connectionContext(needs) },
        failure_mode_allow: options.failOpen ?? false,
        include_peer_certificate: flag(needs, 'tcp certificate', 'tcp certificate-names'),
        include_tls_session: flag(needs, 'tcp session'),
        metadata_context_namespaces: metadataNamespaces(needs, 'tcp'),
      },
    },
    rulesText(needs.has('tcp') ? needs.why('tcp') : needs.why('also-tcp')),
  );
}

/** The filter has no context extensions; a header of its calls carries them. */
export function connectionContext(needs: Needs): readonly unknown[] | undefined {
  const names = needs.anyNames('tcp extension');
  if (names.length === 0) return undefined;
  return [
    noted(
      { key: CONTEXT_HEADER, value: contextHeader(Object.fromEntries(names.map((name) => [name, PLACEHOLDER]))) },
      rulesText(needs.anyWhy('tcp extension')),
      unknown(`${names.length === 1 ? 'this value' : 'these values'}; each filter chain has its own.`),
    ),
  ];
}
