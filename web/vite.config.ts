import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

/** The page is served by the service itself from `streamhub/_web`, so the build lands there. */
export default defineConfig({
  plugins: [vue()],
  build: {
    outDir: '../streamhub/_web',
    // `.gitkeep` holds the folder in the repository; scripts/web-build empties the rest.
    emptyOutDir: false,
    target: 'es2022',
    // One page, a few dozen kilobytes: fewer requests on the six connections HTTP/1.1 gives us.
    modulePreload: false,
  },
})
