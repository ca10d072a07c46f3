/** Checks of the settings of a connection manager by which Envoy reads requests: proxies in front, forwarded certificates, paths. */
import { counted } from '../../text/counted.ts';
import type { Report } from './report.ts';
import type { View } from './view.ts';

export function checkManager(report: Report, manager: View): void {
  checkHops(report, manager);
  const { needs } = report;
  const forwarded = needs.why('http forwarded-certificate');
  const details = manager.text('forward_client_cert_details') ?? 'SANITIZE';
  if (forwarded.length > 0 && details === 'SANITIZE')
    report.lacks(
      'ENVOY_FORWARDED_CERTIFICATE',
      manager.at('forward_client_cert_details') ?? manager,
      'Envoy removes x-forwarded-client-cert',
      forwarded,
      'write forward_client_cert_details: FORWARD_ONLY, APPEND_FORWARD or SANITIZE_SET (docs/envoy.md)',
    );
  checkPath(report, manager);
}

const XFF_EXTENSION = '.original_ip_detection.xff.v3.XffConfig';

function checkHops(report: Report, manager: View): void {
  const { needs } = report;
  const { trustedHops } = needs.settings;
  const why = [...needs.why('hops'), ...needs.why('peer-ip')];
  if (why.length === 0) return;
  const extension = manager.items('original_ip_detection_extensions').find((one) => one.isOfType(XFF_EXTENSION));
  const { at, hops } =
    extension === undefined
      ? { at: manager.at('xff_num_trusted_hops') ?? manager, hops: manager.number('xff_num_trusted_hops') ?? 0 }
      : { at: extension, hops: hopsOfExtension(extension.config) };
  if (trustedHops === undefined) {
    if (hops > 0)
      report.lacks(
        'ENVOY_HOPS',
        at,
        `Envoy trusts ${counted(hops, 'proxy', 'proxies')} in front of it, and the policy has no settings.trustedHops, so origin.ip is the last proxy`,
        why,
        `write settings: { trustedHops: ${hops} } into the policy`,
      );
    return;
  }
  if (extension === undefined && !manager.isTrue('use_remote_address'))
    report.lacks(
      'ENVOY_HOPS',
      manager.at('use_remote_address') ?? manager,
      "x-forwarded-for is the client's own, so clients choose origin.ip",
      why,
      'write use_remote_address: true',
    );
  if (hops !== trustedHops)
    report.lacks(
      'ENVOY_HOPS',
      at,
      `Envoy trusts ${counted(hops, 'proxy', 'proxies')} in front of it, and settings.trustedHops of the policy is ${trustedHops}`,
      why,
      `write xff_num_trusted_hops: ${trustedHops}, or change the setting`,
    );
}

/** The extension leaves the header as it is, unless it is told to append Envoy's peer. */
const hopsOfExtension = (config: View): number =>
  (config.number('xff_num_trusted_hops') ?? 0) + (config.text('skip_xff_append') === 'false' ? 1 : 0);

function checkPath(report: Report, manager: View): void {
  const { needs } = report;
  const { path } = needs.settings;
  const why = needs.why('path');
  if (why.length === 0 || needs.has('plain-path') || path === 'NONE') return;
  const lacking = [
    manager.isTrue('normalize_path') ? [] : ['normalize_path: true'],
    path === 'BASE' || manager.isTrue('merge_slashes') ? [] : ['merge_slashes: true'],
    path !== 'DECODE_AND_MERGE_SLASHES' || escapesAreHandled(manager)
      ? []
      : ['path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT'],
  ].flat();
  if (lacking.length > 0)
    report.warns(
      'ENVOY_PATH',
      manager,
      'the service gets another spelling of a path than rules compare',
      why,
      `write ${lacking.join(', ')}`,
    );
}

const escapesAreHandled = (manager: View): boolean =>
  !['KEEP_UNCHANGED', 'IMPLEMENTATION_SPECIFIC_DEFAULT', undefined].includes(
    manager.text('path_with_escaped_slashes_action'),
  );
