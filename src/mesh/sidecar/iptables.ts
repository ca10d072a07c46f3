/**
 * Rules that send a pod's connections through its Envoy.
 * **In**: which connections, and the tables as `iptables-save` prints them. **Out**: the input of `iptables-restore --noflush`, which
 * replaces the rules of an earlier run and leaves those of others. **Fails**: never.
 *
 * Chains and their order are Istio's: ISTIO_INBOUND sees what arrives, ISTIO_OUTPUT what leaves; ISTIO_REDIRECT and ISTIO_IN_REDIRECT go to
 * the outbound and the inbound listener.
 */
export type Family = 4 | 6;

export interface Interception {
  /** The rules of Istio 1.0, which has one listener for both directions, or those of today. */
  readonly style: '1.0' | 'today';
  readonly mode: 'REDIRECT' | 'TPROXY';
  readonly outboundPort: number;
  readonly inboundPort: number;
  /** Of HBONE; connections to it are never redirected. */
  readonly tunnelPort: number;
  /** Users and groups of the proxy, whose own connections pass. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  readonly inboundPorts: '*' | readonly number[];
  /** Has effect with `inboundPorts: '*'` only. */
  readonly inboundPortsExcluded: readonly number[];
  /** CIDRs of both families. */
  readonly outboundRanges: '*' | readonly string[];
  readonly outboundRangesExcluded: readonly string[];
  /** Redirected to whatever address they go. */
  readonly outboundPorts: readonly number[];
  readonly outboundPortsExcluded: readonly number[];
  /** Their traffic passes in both directions. */
  readonly interfacesExcluded: readonly string[];
  readonly tproxyMark: number;
  readonly tproxyRouteTable: number;
}

type Table = 'mangle' | 'nat' | 'filter';
interface Rule {
  readonly table: Table;
  readonly chain: string;
  readonly rule: string;
}

const TABLES: readonly Table[] = ['mangle', 'nat', 'filter'];
const BUILT_IN = ['PREROUTING', 'INPUT', 'OUTPUT'];
const OWN_CHAIN = /^ISTIO_\w+$/;
/** Of packets that Envoy sends to its own pod, in TPROXY. */
const OUTBOUND_MARK = 1338;
const SSH = 22;

const LOOPBACK: Readonly<Record<Family, string>> = { 4: '127.0.0.1/32', 6: '::1/128' };
/** The inbound listener connects to the application from this address. */
const FROM_INBOUND: Readonly<Record<Family, string>> = { 4: '127.0.0.6/32', 6: '::6/128' };

export const isOfFamily = (cidr: string, family: Family): boolean => cidr.includes(':') === (family === 6);

/** In the order in which they are tried. */
export function interceptionRules(asked: Interception, family: Family): readonly Rule[] {
  const { style, inboundPorts, mode } = asked;
  if (style === '1.0' && family === 6) return refuseInbound();
  const nat = (chain: string, rule: string): Rule => ({ table: 'nat', chain, rule });
  const isInbound = inboundPorts === '*' || inboundPorts.length > 0;
  return [
    ...(isInbound && mode === 'TPROXY' ? transparentInbound(asked, family) : []),
    ...(style === 'today' ? [nat('ISTIO_INBOUND', `-p tcp --dport ${asked.tunnelPort} -j RETURN`)] : []),
    nat('ISTIO_REDIRECT', `-p tcp -j REDIRECT --to-ports ${asked.outboundPort}`),
    nat('ISTIO_IN_REDIRECT', `-p tcp -j REDIRECT --to-ports ${asked.inboundPort}`),
    ...(isInbound && mode === 'REDIRECT'
      ? [
          nat('PREROUTING', '-p tcp -j ISTIO_INBOUND'),
          ...asked.interfacesExcluded.map((name) => nat('ISTIO_INBOUND', `-i ${name} -j RETURN`)),
          ...inboundRules(asked).map(({ match, take }) =>
            nat('ISTIO_INBOUND', `-p tcp ${match}-j ${take ? 'ISTIO_IN_REDIRECT' : 'RETURN'}`),
          ),
        ]
      : []),
    nat('OUTPUT', style === '1.0' ? '-p tcp -j ISTIO_OUTPUT' : '-j ISTIO_OUTPUT'),
    ...asked.interfacesExcluded.map((name) => nat('ISTIO_OUTPUT', `-o ${name} -j RETURN`)),
    ...outboundRules(asked, family).map((rule) => nat('ISTIO_OUTPUT', rule)),
  ];
}

/** Istio 1.0 refuses all inbound IPv6, since its Envoy would not see it. */
const refuseInbound = (): readonly Rule[] => [
  { table: 'filter', chain: 'INPUT', rule: '-j ISTIO_INBOUND' },
  { table: 'filter', chain: 'ISTIO_INBOUND', rule: '-m conntrack --ctstate ESTABLISHED -j ACCEPT' },
  { table: 'filter', chain: 'ISTIO_INBOUND', rule: '-j REJECT' },
];

/** `match` is empty or ends with a space. */
function inboundRules({
  style,
  inboundPorts,
  inboundPortsExcluded,
}: Interception): readonly { readonly match: string; readonly take: boolean }[] {
  if (inboundPorts !== '*') return inboundPorts.map((port) => ({ match: `--dport ${port} `, take: true }));
  const excluded = style === '1.0' ? [SSH, ...inboundPortsExcluded] : inboundPortsExcluded;
  return [...excluded.map((port) => ({ match: `--dport ${port} `, take: false })), { match: '', take: true }];
}

function outboundRules(asked: Interception, family: Family): readonly string[] {
  const ownRanges = (ranges: readonly string[]): readonly string[] =>
    ranges.filter((range) => isOfFamily(range, family));
  const { style, outboundRanges } = asked;
  return [
    ...asked.outboundPortsExcluded.flatMap((port) =>
      ['tcp', 'udp'].map((protocol) => `-p ${protocol} --dport ${port} -j RETURN`),
    ),
    ...(style === '1.0' ? proxyRulesIn10(asked) : proxyRulesToday(asked, family)),
    `-d ${LOOPBACK[family]} -j RETURN`,
    ...ownRanges(asked.outboundRangesExcluded).map((range) => `-d ${range} -j RETURN`),
    ...asked.outboundPorts.map((port) => `-p tcp --dport ${port} -j ISTIO_REDIRECT`),
    ...(outboundRanges === '*'
      ? ['-j ISTIO_REDIRECT']
      : ownRanges(outboundRanges).map((range) => `-d ${range} -j ISTIO_REDIRECT`)),
  ];
}

const ownersOf = ({ uids, gids }: Interception): readonly string[] => [
  ...uids.map((uid) => `--uid-owner ${uid}`),
  ...gids.map((gid) => `--gid-owner ${gid}`),
];

/** A pod that calls itself by another address than 127.0.0.1 goes through Envoy; what the proxy sends elsewhere passes. */
const proxyRulesIn10 = (asked: Interception): readonly string[] => [
  `-o lo ! -d ${LOOPBACK[4]} -j ISTIO_REDIRECT`,
  ...ownersOf(asked).map((owner) => `-m owner ${owner} -j RETURN`),
];

function proxyRulesToday(asked: Interception, family: Family): readonly string[] {
  const { outboundRanges, tunnelPort } = asked;
  // Whoever names a loopback range wants what the application sends to itself.
  const isLoopbackWanted = outboundRanges !== '*' && outboundRanges.some((range) => /^127\.|^::1(\/|$)/.test(range));
  return [
    `-o lo -s ${FROM_INBOUND[family]} -j RETURN`,
    ...ownersOf(asked).flatMap((owner) => [
      // Envoy calls its own pod by the address of a service: through the inbound listener.
      `-o lo ! -d ${LOOPBACK[family]} -p tcp ! --dport ${tunnelPort} -m owner ${owner} -j ISTIO_IN_REDIRECT`,
      ...(isLoopbackWanted ? [] : [`-o lo -m owner ! ${owner} -j RETURN`]),
      `-m owner ${owner} -j RETURN`,
    ]),
  ];
}

/** Envoy sees the client's own address: packets are marked, and the routes of {@link tproxyRoutes} bring them to its socket. */
function transparentInbound(asked: Interception, family: Family): readonly Rule[] {
  const { style, tproxyMark: mark, inboundPort, interfacesExcluded } = asked;
  const mangle = (chain: string, rule: string): Rule => ({ table: 'mangle', chain, rule });
  const own = LOOPBACK[family];
  const inbound = [
    ...interfacesExcluded.map((name) => `-i ${name} -j RETURN`),
    ...(style === '1.0'
      ? []
      : [
          // The mark that Envoy sets on its connection to the application comes back on the answers.
          `-p tcp -m mark --mark ${mark} -j CONNMARK --save-mark`,
          `-p tcp -m mark --mark ${mark} -j RETURN`,
          `-p tcp -s ${FROM_INBOUND[family]} -i lo -j RETURN`,
          `-p tcp -i lo -m mark ! --mark ${OUTBOUND_MARK} -j RETURN`,
        ]),
    ...inboundRules(asked).flatMap(({ match, take }) =>
      take
        ? [
            `-p tcp ${match}-m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT`,
            `-p tcp ${match}-j ISTIO_TPROXY`,
          ]
        : [`-p tcp ${match}-j RETURN`],
    ),
  ];
  const output = [
    ...interfacesExcluded.map((name) => `-o ${name} -j RETURN`),
    `-p tcp -o lo -m mark --mark ${mark} -j RETURN`,
    ...ownersOf(asked).map((owner) => `! -d ${own} -p tcp -o lo -m owner ${owner} -j MARK --set-mark ${OUTBOUND_MARK}`),
    `-p tcp -m connmark --mark ${mark} -j CONNMARK --restore-mark`,
  ];
  return [
    mangle('ISTIO_DIVERT', `-j MARK --set-mark ${mark}`),
    mangle('ISTIO_DIVERT', '-j ACCEPT'),
    mangle('ISTIO_TPROXY', `! -d ${own} -p tcp -j TPROXY --on-port ${inboundPort} --tproxy-mark ${mark}/0xffffffff`),
    mangle('PREROUTING', '-p tcp -j ISTIO_INBOUND'),
    ...inbound.map((rule) => mangle('ISTIO_INBOUND', rule)),
    ...(style === '1.0' ? [] : [mangle('OUTPUT', '-j ISTIO_OUTPUT')]),
    ...(style === '1.0' ? [] : output.map((rule) => mangle('ISTIO_OUTPUT', rule))),
  ];
}

/** Arguments of `ip`, in order. The first removes a rule of an earlier run, and fails where there is none. */
export function tproxyRoutes(
  { tproxyMark, tproxyRouteTable }: Pick<Interception, 'tproxyMark' | 'tproxyRouteTable'>,
  family: Family,
): {
  readonly remove: readonly string[];
  readonly flush: readonly string[];
  readonly add: readonly (readonly string[])[];
} {
  const to = ['fwmark', String(tproxyMark), 'lookup', String(tproxyRouteTable)];
  const table = ['table', String(tproxyRouteTable)];
  return {
    remove: [`-${family}`, 'rule', 'del', ...to],
    flush: [`-${family}`, 'route', 'flush', ...table],
    add: [
      [`-${family}`, 'route', 'replace', 'local', 'default', 'dev', 'lo', ...table],
      [`-${family}`, 'rule', 'add', ...to],
    ],
  };
}

/**
 * One input for all tables, each of which is replaced as a whole. `saved` is the output of `iptables-save`; with no rules, those of an
 * earlier run are removed.
 */
export function restoreText(rules: readonly Rule[], saved = ''): string {
  const before = ownRules(saved);
  const texts = TABLES.flatMap((table) => {
    const wanted = rules.filter((rule) => rule.table === table);
    const chains = new Set(wanted.map(({ chain }) => chain).filter((chain) => !BUILT_IN.includes(chain)));
    const stale = (before.get(table)?.chains ?? []).filter((chain) => !chains.has(chain));
    const jumps = before.get(table)?.jumps ?? [];
    if (wanted.length + stale.length + jumps.length === 0) return [];
    return [
      `*${table}`,
      ...[...chains, ...stale].map((chain) => `:${chain} - [0:0]`), // makes it, or empties it
      ...jumps.map((jump) => jump.replace(/^-A/, '-D')),
      ...stale.map((chain) => `-X ${chain}`),
      ...wanted.map(({ chain, rule }) => `-A ${chain} ${rule}`),
      'COMMIT',
    ];
  });
  return texts.map((line) => `${line}\n`).join('');
}

/** Chains of an earlier run, and the rules of built-in chains that jump to them, by table. */
function ownRules(saved: string): ReadonlyMap<string, { readonly chains: string[]; readonly jumps: string[] }> {
  const found = new Map<string, { chains: string[]; jumps: string[] }>();
  let own: { chains: string[]; jumps: string[] } = { chains: [], jumps: [] };
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) {
      own = { chains: [], jumps: [] };
      found.set(line.slice(1).trim(), own);
    }
    const chain = /^:(\S+)/.exec(line)?.[1];
    if (chain !== undefined && OWN_CHAIN.test(chain)) own.chains.push(chain);
    const [, from = '', to = ''] = /^-A (\S+) .*-[jg] (\S+)/.exec(line) ?? [];
    if (BUILT_IN.includes(from) && OWN_CHAIN.test(to)) own.jumps.push(line);
  }
  return found;
}
