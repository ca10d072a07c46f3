import { Option } from 'commander';
import { STYLES } from '../../inject/contract.ts';
import type { WebhookFlags } from '../actions/webhook.ts';
import type { CommandSpec } from '../command.ts';
import { logOptions } from '../server-flags.ts';
import { templateOptions } from './inject.ts';

export const webhook: CommandSpec = {
  name: 'webhook',
  help: {
    summary: 'inject pods as an API server creates them',
    description:
      'Answers the AdmissionReviews of a Kubernetes API server (v1 and v1beta1) at https://.../inject with a JSON patch that adds what\n' +
      '`sluice inject` adds to manifests. Pods are left alone by the policy, their label or annotation, their namespace, the host network.',
    after: `
Changed files of the configuration and the certificate are loaded without a restart; one with errors changes nothing.
  sluice webhook --print-config --service sluice-webhook.sluice --ca ca.pem | kubectl apply -f -`,
  },
  flags: [
    new Option('--https <host:port>', 'the port for API servers').default('127.0.0.1:9443'),
    new Option('--admin <host:port>', 'the HTTP port for operators: /healthz /readyz /metrics').default(
      '127.0.0.1:15022',
    ),
    new Option('--tls-cert <file>', 'PEM; for the name SERVICE.NAMESPACE.svc'),
    new Option('--tls-key <file>', 'PEM'),
    new Option('--style <style>', 'containers, annotations and labels of Istio 1.0, or of today')
      .choices(STYLES)
      .default('1.0'),
    ...templateOptions(),
    new Option('--grace <seconds>', 'after SIGTERM, for reviews in flight').default('10'),
    new Option('--print-config', 'print the MutatingWebhookConfiguration for kubectl, and serve nothing'),
    new Option('--service <name.namespace[:port]>', 'of --print-config: the Service of the webhook'),
    new Option('--url <url>', 'of --print-config: a webhook outside of the cluster, instead of a Service'),
    new Option('--ca <file>', 'of --print-config: the authority of its certificate, PEM'),
    new Option('--all-namespaces', 'of --print-config: also namespaces without the label istio-injection'),
    ...logOptions("of the server's own log; debug has each pod"),
  ],
  run: async (flags: WebhookFlags) => (await import('../actions/webhook.ts')).webhook(flags),
};
