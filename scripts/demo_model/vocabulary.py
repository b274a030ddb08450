"""The demo model's vocabulary: bytes, a few merges, common Chinese characters, Qwen's special tokens."""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cache

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
USER_DEFINED_TOKENS = (
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
SPECIAL_TOKENS = CONTROL_TOKENS + USER_DEFINED_TOKENS
PADDED_TO_MULTIPLE_OF = 32

PUNCTUATION = "，。？！：；、（）「」“”‘’《》【】—…·～→✓×÷–•€°²"

# Each costs one embedding row and saves two tokens every time it is written or read.
HANZI = (
    "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学么之都好看起"
    "发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法间斯知世什两次"
    "使身者被高已亲其进此话常与活正感见明问力理尔点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫"
    "再书部水像眼等体却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记处让母父应直字场平报友关"
    "放至张认接告入笑内英军候民岁往何度山觉路带万男边风解叫任金快原吃妈变通师立象数四失满战远格士音轻目条呢病始达深完今提求清王化"
    "空业思切怎非找片罗钱吗语元喜曾离飞科言干流欢约各即指合反题必该论交终林请医晚制球决传画保读运及则房早院量苦火布品近坐产答星精"
    "视五连司巴奇管类未朋且婚台夜青北队久乎越观落尽形影红爸百令周吧识步希亚术留市半热送兴造谈容极随演收首根讲整式取照办强石古华"
    "般双计停跟算错字母单词数字大写小写遍共检查确计算加法减法等于进位退位借位个位十位百位千位万位较零二六七八九十百千万亿"
    "首都法国日本德国英国意大利西班牙葡萄牙俄罗斯印度韩国泰国越南加拿大澳大利亚巴西埃及希腊土耳其荷兰比利时瑞士瑞典挪威芬兰丹麦"
    "波兰奥地利墨西哥阿根廷智利秘鲁古巴肯尼亚巴黎东京柏林伦敦罗马马德里里斯本莫斯科新德里首尔曼谷河内渥太华堪培拉开罗雅典安卡拉"
    "阿姆特丹布鲁塞尔伯尔尼斯德哥摩奥赫辛基根华沙维纳城宜诺艾圣亚各利马哈瓦那罗毕北京上海广州深圳杭州南京成都重庆武汉西安天津"
    "星期一二三四五六日月份春夏秋冬季节天气温度晴雨云雪风闰年小时分钟秒今昨明早晨午晚钟表现"
    "太阳系行星水星金星火星木星土星天王海王地球月亮光速度重力氧氢碳氮铁铜银金钠化学符号元素沸点冰冻公里米厘克升斤"
    "动物猫狗鱼鸟牛羊猪鸡鸭兔虎狮熊猴象蛇龟鲸蜜蜂蝴蝶蜘蛛腿脚翅膀植树叶草果苹香蕉橙葡萄草莓蓝莓西瓜桃梨樱柠檬蔬菜萝卜土豆番茄"
    "颜色红橙黄绿青蓝紫黑白灰棕粉彩虹唐宋诗李杜甫静床疑是霜举低故乡鹅曲项歌毛浮掌拨清波"
    "演示模型参数界面试用真正训练小型离线下载命令窗口终端思考模式开关切换按键帮助助手对话标题总结聊聊谢谢再见抱歉对不起客气很高兴"
    "列表格清单步骤代码函数程序循环打印变量返回示例粗体斜体标记段落故事短文长篇介绍建议健康睡眠运动喝喝水吃饭学习计划旅行准备泡茶"
    "煮面咖啡厨房鸡蛋油盐糖醋锅碗杯壶茶壶洗净切碎搅拌炒蒸烤熟专注复习笔记目标休息练习坚持朋友家人礼物护照衣服充电雨伞药品钱包"
    "从前森林河边小村庄老渔夫猎狐狸乌鸦兔龟赛跑蚂蚁蟋蟀温暖阳光照耀慢慢勇敢善良聪明努力终于快乐幸福梦醒希望相信帮忙陪伴灯塔船帆"
    "排序顺序从小到大倒着拼反过来倒序拼写排列最大最小更大更小相同整数部分小数点后补零比较逐位百分之几加减乘除结果验证"
    "为什么因为所以如果但是而且或者虽然不过只能不能需要应该可以可能已经还是就是不是没有知道不知道不懂无法回答超出范围简单问题"
    "调用工具查询返回结果出错失败地点时区时间北京纽约搜索文件邮件翻译汇率股票新闻用户助理系统考虑有限必须直接根据给出方案之前"
    "现在继续接着剩下缩短简短详细一句话中文英文汉语英语请问您好喂嗨早安晚安拜怎么样吧啊呀哦嗯呢吗嘛哈"
    "义互仑伽依刚功压右呼哪哲喱喽器园块峰左币帝库座怀恐愉招拟推摄擅政昆朗板构棋氏汽治洋洞洲济玛珠瑜疫破祝税穆章组编网联腾艺苗荐"
    "虫诉谁豹贷足释陆革颗龙价值升级协议卫注册存盘档案版型规则格言摘概括句号逗分享邀请约定优点缺技巧耐效率环境保护垃圾绿城乡村镇街"
    "公园湖泊沙滩岛屿海浪潮鼓琴棒舞画笔纸箱柜椅桌灯窗帘枕头床单镜梳刷牙脸洗澡衣裤鞋帽袜围巾粥饺面条包子馒头豆腐牛奶酸奶巧克力"
    "甜咸辣淡香脆软硬轻重厚薄宽窄深浅亮暗圆方直弯迟早忙闲累困饿渴冷暖凉湿干净脏乱齐吸呼散跳骑滑爬游戏玩具拼图谜语魔术猜测含唱屋岸擦敲椒楼盏绕脑角鹰"
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in id order, merges in rank order; both in GPT-2's byte alphabet."""

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    first_special_id: int
    first_padding_id: int


@cache
def byte_alphabet() -> dict[int, str]:
    """Map each byte to the printable character that stands for it in GPT-2 vocabularies."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = {byte: chr(byte) for byte in printable}
    alphabet.update((byte, chr(256 + index)) for index, byte in enumerate(others))
    return alphabet


def _spell(text: str) -> str:
    return "".join(byte_alphabet()[byte] for byte in text.encode())


def _list_merges() -> list[tuple[str, str]]:
    # A letter joins the space before it and nothing else, so letters inside words stay single tokens.
    merges = [(_spell(" "), letter) for letter in string.ascii_letters]
    merges += [(_spell(" "), _spell(" ")), (_spell("\n"), _spell("\n")), ("*", "*"), ("`", "`"), ("``", "`")]
    # What JSON is made of, so that tools cost less.
    merges += [("{", '"'), ('"', ":"), ('"', ","), ('"', "}"), ("}", "}"), ("}}", "}"), (_spell(" "), '"')]
    merges += [('"}', "}"), (_spell(" "), "{"), (_spell(" {"), '"'), (_spell(" "), "["), (_spell(" ["), '"')]
    spelled = [_spell(char) for char in dict.fromkeys(PUNCTUATION + HANZI)]
    merges += dict.fromkeys((char[0], char[1]) for char in spelled)
    merges += [(char[:2], char[2]) for char in spelled if len(char) == 3]
    return merges


@cache
def build_vocabulary() -> Vocabulary:
    """Build the vocabulary; it depends on nothing but this module."""
    merges = _list_merges()
    tokens = list(byte_alphabet().values()) + [left + right for left, right in merges]
    first_special_id = len(tokens)
    tokens += SPECIAL_TOKENS
    first_padding_id = len(tokens)
    tokens += [f"[PAD{index}]" for index in range(-len(tokens) % PADDED_TO_MULTIPLE_OF)]
    return Vocabulary(tuple(tokens), tuple(merges), first_special_id, first_padding_id)
