// How a page looks, in the light and in the dark, on a phone and on a desktop: nothing wider than the screen, and nothing
// that axe-core knows to keep people out (WCAG 2.2 AA). With SCREENSHOTS set to a folder it keeps pictures.
import assert from 'node:assert/strict';
import path from 'node:path';
import axe from 'axe-core';

const schemes = ['light', 'dark'];
const screens = { phone: { width: 320, height: 640 }, desktop: { width: 1280, height: 800 } };
const standards = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

/**
 * Inspects the page that is shown. Its window must bypass the CSP, which would keep axe-core out. One whose parts have been
 * inspected on another page needs one scheme.
 */
export async function inspect(page, name, colorSchemes = schemes) {
  const problems = [];
  for (const [screen, size] of Object.entries(screens)) {
    await page.setViewportSize(size);
    for (const colorScheme of process.env.SCREENSHOTS ? schemes : colorSchemes) {
      await page.emulateMedia({ colorScheme });
      const where = `${name}, ${screen}, ${colorScheme}`;
      if (process.env.SCREENSHOTS) {
        await page.screenshot({ path: path.join(process.env.SCREENSHOTS, `${name}-${screen}-${colorScheme}.png`), fullPage: true });
      }
      const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
      if (inner > outer) {
        problems.push(`${where}: the page is ${inner} pixels wide on a screen of ${outer}`);
      }
      if (screen === 'desktop') {
        continue; // the same elements in the same colours, with more room
      }
      await page.evaluate(axe.source);
      const { violations, passes } = await page.evaluate((values) => window.axe.run({ runOnly: { type: 'tag', values } }), standards);
      assert.ok(passes.length > 5, `${where}: axe-core has looked at hardly anything`);
      for (const { id, nodes } of violations) {
        problems.push(...nodes.map((node) => `${where}: ${id}: ${node.html} ${node.failureSummary}`));
      }
    }
  }
  assert.deepEqual(problems, []);
}
