// Where data lives by default.
import { expect, it } from 'vitest';
import { dataFolder } from '../../../src/config/config-paths.ts';

it('is /var/lib for root', () => {
  expect(dataFolder({ XDG_DATA_HOME: '/x', HOME: '/h' }, true)).toBe('/var/lib/scorpio');
});

it('is in XDG_DATA_HOME for others, unless that is relative', () => {
  expect(dataFolder({ XDG_DATA_HOME: '/x', HOME: '/h' }, false)).toBe('/x/scorpio');
  expect(dataFolder({ XDG_DATA_HOME: 'x', HOME: '/h' }, false)).toBe('/h/.local/share/scorpio');
  expect(dataFolder({ HOME: '/h' }, false)).toBe('/h/.local/share/scorpio');
});
