/** Roles name allowed actions and bindings the callers that have a role; everything else is denied. */
import { allow, defineAdapter, deny, PERMISSION_DENIED } from 'sluice/plugin';
import { accessOf, type Mismatch, shown } from './access.ts';
import { type Principal, rolesOf } from './bindings.ts';
import { rbacConfig } from './config.ts';

export default defineAdapter({
  name: 'check-rbac',
  summary:
    "Allows the actions of the caller's roles (by method, path, service, host and constraints) and denies all others.",
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
        let nearest: { readonly role: string; readonly mismatch: Mismatch } | undefined;
        for (const role of held) {
          const mismatch = access.get(role)?.(input);
          if (mismatch === undefined) return allowed.get(role) ?? allow();
          if (nearest === undefined || mismatch.order > nearest.mismatch.order) nearest = { role, mismatch };
        }
        return deny(
          PERMISSION_DENIED,
          nearest === undefined ? `no role is bound to ${named(input)}` : mismatchText(input, held, nearest),
        );
      },
    };
  },
});

const named = ({ user }: Principal): string => (user === undefined ? 'a caller without a user' : `"${shown(user)}"`);

function mismatchText(
  caller: Principal,
  held: readonly string[],
  { role, mismatch }: { readonly role: string; readonly mismatch: Mismatch },
): string {
  return `${named(caller)} has ${held.join(', ')}; nearest, ${role}: ${mismatch.text}`;
}
