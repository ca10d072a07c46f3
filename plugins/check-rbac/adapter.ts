/** Roles say what may be done, bindings who may; everything else is denied. */
import { allow, defineAdapter, deny, PERMISSION_DENIED } from 'sluice/plugin';
import { accessOf, type Lack, shown } from './access.ts';
import { type Principal, rolesOf } from './bindings.ts';
import { rbacConfig } from './config.ts';

export default defineAdapter({
  name: 'check-rbac',
  summary: 'Allows what a role of the caller allows, by method, path, service, host and constraints; denies all else.',
  config: rbacConfig,
  serves: {
    check: {
      input: {
        user: 'string?',
        groups: 'list<string>?',
        properties: 'map<string>?',
        method: 'string?',
        path: 'string?',
        service: 'string?',
        host: 'string?',
        actionProperties: 'map<string>?',
      },
      output: { role: 'string' },
    },
  },
  selfContained: true,
  async open({ roles, bindings }) {
    const rolesHeld = rolesOf(bindings);
    const access = new Map(Object.entries(roles).map(([role, rules]) => [role, accessOf(rules)]));
    const allowed = new Map(Object.keys(roles).map((role) => [role, allow({ output: { role } })]));
    return {
      check: () => (input) => {
        const held = rolesHeld(input);
        let nearest: { readonly role: string; readonly lack: Lack } | undefined;
        for (const role of held) {
          const lack = access.get(role)?.(input);
          if (lack === undefined) return allowed.get(role) ?? allow();
          if (nearest === undefined || lack.order > nearest.lack.order) nearest = { role, lack };
        }
        return deny(
          PERMISSION_DENIED,
          nearest === undefined ? `no role is bound to ${named(input)}` : lacking(input, held, nearest),
        );
      },
    };
  },
});

const named = ({ user }: Principal): string => (user === undefined ? 'a caller without a name' : `"${shown(user)}"`);

function lacking(
  who: Principal,
  held: readonly string[],
  { role, lack }: { readonly role: string; readonly lack: Lack },
): string {
  return `${named(who)} has ${held.join(', ')}; nearest, ${role}: ${lack.text}`;
}
