/** The screen, and the choice between light and dark. */
import { effect, signal } from '@preact/signals';

const phone = matchMedia('(max-width: 640px)');
export const isPhone = signal(phone.matches);
phone.addEventListener('change', ({ matches }) => {
  isPhone.value = matches;
});

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
const STORED = 'sluice-theme';

/** Storage is refused in some private windows. */
function stored(): Theme {
  try {
    return THEMES.find((one) => one === localStorage.getItem(STORED)) ?? 'system';
  } catch {
    return 'system';
  }
}

export const theme = signal<Theme>(stored());
effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme.value;
  try {
    localStorage.setItem(STORED, theme.value);
  } catch {
    // the choice lasts until the page is closed
  }
});

/** The time of day, for ages; once a second. */
export const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 1000);
