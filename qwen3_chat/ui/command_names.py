"""The words that find a `/` command: in both languages, by pinyin, and as other chats call it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product

from qwen3_chat.texts import Language, load_catalogue

OTHER_CHATS_WORDS = {
    "new_chat": ("new", "clear", "reset", "newchat"),
    "chats": ("history", "resume", "load", "list", "sessions"),
    "models": ("model", "switch", "pull"),
    "quit": ("exit", "bye", "q"),
    "help": ("keys", "shortcuts"),
    "settings": ("config", "set", "preferences"),
    "chat_options": ("system", "params", "temperature", "options"),
    "next_theme": ("theme", "colors"),
    "export": ("save", "share"),
    "copy_answer": ("copy",),
    "retry": ("regenerate", "regen", "again"),
    "continue_reply": ("continue",),
    "continue_last": ("last",),
    "toggle_mode": ("thinking", "reasoning"),
    "editor": ("edit",),
    "empty_input": ("discard",),
    "palette": ("commands",),
    "compare": ("arena", "vote"),
    "mcp": ("mcp_servers", "servers", "add_server"),
    "tools": ("tool", "functions", "permissions", "revoke", "权限", "撤销"),
}
"""The words of ollama, llama.cpp, Claude Code, Open WebUI and others for an action, by its name here."""

_SYLLABLES = """
板ban 版ban 帮bang 保bao 被bei 本ben 比bi 毕bi 变bian 编bian 边bian 标biao 表biao 部bu 菜cai 藏cang 操cao
草cao 侧ce 查cha 成cheng 重chong,zhong 出chu 除chu 处chu 创chuang 窗chuang 次ci 词ci 从cong 存cun 打da 答da
大da 代dai 单dan 导dao 到dao 的de 等deng 点dian 调diao 叠die 定ding 顶ding 动dong 度du 读du 断duan 端duan
对dui 发fa 法fa 返fan 翻fan 放fang 非fei 复fu 符fu 服fu 改gai 高gao 个ge 更geng 公gong 工gong 共gong 挂gua
关guan 管guan 滚gun 过guo 行hang 黑hei 红hong 后hou 户hu 化hua 画hua 话hua 换huan 回hui 恢hui 级ji 计ji 记ji
辑ji 继ji 即ji 加jia 件jian 键jian 间jian 建jian 将jiang 较jiao 接jie 界jie 结jie 节jie 解jie 捷jie 近jin
进jin 旧jiu 具ju 开kai 看kan 考kao 可ke 控kong 空kong 库ku 快kuai 框kuang 栏lan 览lan 历li 立li 离li 里li
量liang 聊liao 列lie 令ling 另ling 龙long 吗ma 马ma 面mian 名ming 命ming 明ming 末mo 模mo 默mo 目mu 能neng
配pei 屏ping 启qi 器qi 起qi 前qian 签qian 切qie 清qing 取qu 全quan 染ran 认ren 入ru 色se 删shan 上shang
稍shao 设she 生sheng 史shi 式shi 时shi 始shi 示shi 首shou 受shou 手shou 数shu 束shu 输shu 刷shua 说shuo 思si
送song 搜sou 速su 算suan 所suo 索suo 缩suo 套tao 提ti 替ti 题ti 条tiao 跳tiao 挑tiao 贴tie 停ting 通tong
头tou 退tui 外wai 完wan 尾wei 为wei 文wen 问wen 无wu 务wu 误wu 系xi 息xi 下xia 显xian 项xiang 向xiang 消xiao
写xie 心xin 新xin 信xin 型xing 序xu 续xu 选xuan 演yan 言yan 样yang 页ye 移yi 一yi 以yi 已yi 意yi 引yin 隐yin
应ying 用yong 语yu 预yu 原yuan 源yuan 在zai 再zai 暂zan 择ze 展zhan 粘zhan 找zhao 折zhe 着zhe 正zheng 制zhi
止zhi 置zhi 直zhi 至zhi 终zhong 中zhong 主zhu 助zhu 转zhuan 装zhuang 子zi 自zi 最zui 作zuo
"""
_PINYIN = {item[0]: tuple(item[1:].split(",")) for item in _SYLLABLES.split()}
"""The syllables of the characters in our own labels, without tones."""

MAX_READINGS = 8
"""The most readings of one label: characters with several readings multiply them."""


def pinyin_of(label: str) -> tuple[str, ...]:
    """Return the pinyin of a Chinese label, whole and by its initials; nothing if it has other characters.

    Latin letters, as in `MCP`, are read as they are.
    """
    characters = [character for character in label if character not in " /·（）"]
    read = [(c.lower(),) if c.isascii() and c.isalpha() else _PINYIN.get(c, ()) for c in characters]
    if label.isascii() or not all(read):
        return ()
    readings = list(product(*read))[:MAX_READINGS]
    spelled = [form for reading in readings for form in ("".join(reading), "".join(s[0] for s in reading))]
    return tuple(dict.fromkeys(spelled))


@cache
def command_words(name: str, label_key: str) -> tuple[str, ...]:
    """Return the words that find an action beside its name: labels, pinyin, other chats' words."""
    english, chinese = (load_catalogue(language)[label_key] for language in (Language.EN, Language.ZH))
    words = (*OTHER_CHATS_WORDS.get(name, ()), _as_typed(english), _as_typed(chinese), *pinyin_of(chinese))
    return tuple(dict.fromkeys(words))


def match_rank(typed: str, name: str, words: Sequence[str]) -> int | None:
    """Return how well a typed text fits a command, the best lowest; None if it does not."""
    every = (name, *words)
    if typed in every:
        return 0
    if name.startswith(typed):
        return 1
    if _any_begins(typed, words):
        return 2
    if typed in name:
        return 3
    return 4 if any(len(typed) > 1 and typed in word for word in words) else None


def _any_begins(typed: str, words: Iterable[str]) -> bool:
    return any(word.startswith(typed) for word in words)


def _as_typed(label: str) -> str:
    """Return a label as it is typed after a slash."""
    return label.lower().replace(" ", "_")
