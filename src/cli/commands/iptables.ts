import { Option } from 'commander';
import type { IptablesFlags } from '../actions/iptables.ts';
import type { CommandSpec } from '../command.ts';

/** Flags of Istio's `istio-iptables`, with Istio's letters and names. */
export const iptables: CommandSpec = {
  name: 'iptables',
  aliases: ['istio-iptables'], // the arguments of today's init containers begin with it
  help: {
    summary: "send a pod's connections through its Envoy: the init container of injected pods",
    description:
      "Takes the arguments of Istio's init container, of 1.0 and of today, and applies them as rules of iptables in the network namespace of\n" +
      'this process, atomically: a second run replaces the rules of the first, and rules of others stay. Needs the capability NET_ADMIN, and the\n' +
      'programs iptables and, for TPROXY and IPv6, ip.',
    after: `
Examples:
  sluice iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15021,15020
  sluice iptables -p 15001 -u 1337 -m REDIRECT -i '*' -b 80, --print
  sluice iptables --clean`,
  },
  flags: [
    new Option('-p, --envoy-port <port>', 'where outbound connections go').default('15001'),
    new Option(
      '-z, --inbound-capture-port <port>',
      'where inbound connections go; default: 15006, and with --style 1.0 that of -p',
    ),
    new Option('-u, --proxy-uid <ids>', 'users whose connections pass: those of the proxy').default('1337'),
    new Option('-g, --proxy-gid <ids>', 'groups whose connections pass; default: that of -u'),
    new Option(
      '-m, --istio-inbound-interception-mode <mode>',
      'REDIRECT or TPROXY, which keeps the address of clients',
    ).default('REDIRECT'),
    new Option(
      '-b, --istio-inbound-ports <ports>',
      'inbound ports that are redirected; * for all, empty for none',
    ).default(''),
    new Option('-d, --istio-local-exclude-ports <ports>', 'inbound ports that pass, of -b *').default(''),
    new Option(
      '-i, --istio-service-cidr <cidrs>',
      'outbound ranges that are redirected; * for all, empty for none',
    ).default(''),
    new Option('-x, --istio-service-exclude-cidr <cidrs>', 'outbound ranges that pass').default(''),
    new Option('-q, --istio-outbound-ports <ports>', 'outbound ports that are redirected whatever the address').default(
      '',
    ),
    new Option('-o, --istio-local-outbound-ports-exclude <ports>', 'outbound ports that pass').default(''),
    new Option('-c, --istio-exclude-interfaces <names>', 'network interfaces whose traffic passes').default(''),
    new Option('-e, --inbound-tunnel-port <port>', 'of HBONE; connections to it pass').default('15008'),
    new Option('-t, --istio-inbound-tproxy-mark <mark>', 'of packets for Envoy, with TPROXY').default('1337'),
    new Option('-r, --istio-inbound-tproxy-route-table <number>', 'the routes of marked packets').default('133'),
    new Option('--style <style>', 'the rules of Istio 1.0, for listeners that take both directions, or of today')
      .choices(['1.0', 'today'])
      .default('today'),
    new Option('--ipv6 <when>', 'rules for IPv6 too; auto: if the pod has such an address')
      .choices(['auto', 'on', 'off'])
      .default('auto'),
    new Option('--clean', 'remove the rules of an earlier run'),
    new Option('--print', 'print the rules as iptables-restore reads them, and change nothing'),
    new Option('--log_output_level <level>', "of Istio's agent; has no effect").hideHelp(),
  ],
  run: async (flags: IptablesFlags) => (await import('../actions/iptables.ts')).iptables(flags),
};
