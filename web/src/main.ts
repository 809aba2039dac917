/** Starts the page: language, stored wall, the view, the other windows, then the app. */
import { createApp } from 'vue'
import App from './App.vue'
import { startI18n } from './i18n'
import { announceWindow } from './player/windows'
import { startRoute } from './state/route'
import { startWall } from './state/wall'
import './style.css'
import './wall.css'
import './manage.css'
import './people.css'
import './account.css'
import './ptz.css'
import './log.css'

startI18n()
startWall()
startRoute()
announceWindow()
createApp(App).mount('#app')
