//! Chinese. No character of an opinion at an even place is in one at an odd place, so that a test has none in common with
//! the labelled examples.

use super::lexicon::{Ambiguous, Lexicon, People, Sense, Topic};

pub(super) static LEXICON: Lexicon = Lexicon {
    space: "",
    people: [
        People {
            first_names: &["丽娟", "婷", "秀英", "静", "玉兰", "敏", "桂芳", "燕"],
            pronouns: ["她", "她的", "她"],
        },
        People {
            first_names: &["建国", "伟", "志强", "军", "国栋", "磊", "俊杰", "涛"],
            pronouns: ["他", "他的", "他"],
        },
    ],
    it: ["它", "它们"],
    last_names: &[
        "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱",
    ],
    last_name_first: true,
    cities: &[
        "北京", "上海", "广州", "深圳", "成都", "杭州", "重庆", "武汉", "西安", "苏州", "天津",
        "南京", "长沙", "郑州",
    ],
    companies: &[
        "华信", "东方", "天龙", "新星", "恒通", "中科", "宏达", "万利", "金源", "瑞丰", "博雅",
        "远航", "光明", "长虹",
    ],
    opinions: [
        &[
            "好", "美", "妙", "棒", "佳", "优", "雅", "甜", "香", "酷", "赞", "爽",
        ],
        &[
            "坏", "丑", "差", "烂", "糟", "劣", "俗", "臭", "脏", "破", "怪", "假",
        ],
    ],
    topics: &[
        Topic {
            name: "food",
            things: &[
                ["汤"; 2],
                ["饺子"; 2],
                ["晚餐"; 2],
                ["蛋糕"; 2],
                ["面条"; 2],
                ["服务员"; 2],
            ],
            events: &[
                "{he}在餐馆里点了{thing}。",
                "厨师给{him}端来了{thing}。",
                "{he}一边喝茶一边看着{thing}。",
                "午饭后{he}问起了{thing}。",
                "这家餐馆的{thing}很有名。",
            ],
        },
        Topic {
            name: "music",
            things: &[
                ["歌曲"; 2],
                ["音乐会"; 2],
                ["专辑"; 2],
                ["旋律"; 2],
                ["乐队"; 2],
                ["歌手"; 2],
            ],
            events: &[
                "{he}买了票去听{thing}。",
                "收音机给{him}播放了{thing}。",
                "{he}在舞台上听到了{thing}。",
                "观众都在等{thing}。",
                "{thing}开始时{his}朋友跳起了舞。",
            ],
        },
        Topic {
            name: "sport",
            things: &[
                ["比赛"; 2],
                ["球队"; 2],
                ["球员"; 2],
                ["教练"; 2],
                ["进球"; 2],
                ["体育场"; 2],
            ],
            events: &[
                "{he}和俱乐部一起看了{thing}。",
                "球迷大声谈论着{thing}。",
                "{he}为{thing}努力训练。",
                "联赛让{him}看到了{thing}。",
                "开场前{he}想着{thing}。",
            ],
        },
        Topic {
            name: "nature",
            things: &[
                ["森林"; 2],
                ["湖水"; 2],
                ["小路"; 2],
                ["山谷"; 2],
                ["草地"; 2],
                ["花朵"; 2],
            ],
            events: &[
                "{he}爬上山坡看见了{thing}。",
                "导游带{him}来到{thing}旁边。",
                "{he}在雨中走过{thing}。",
                "清晨{he}给{thing}拍了照片。",
                "太阳照在{thing}上面。",
            ],
        },
        Topic {
            name: "business",
            things: &[
                ["手机"; 2],
                ["电脑"; 2],
                ["合同"; 2],
                ["产品"; 2],
                ["经理"; 2],
                ["广告"; 2],
            ],
            events: &[
                "{he}在会议上介绍了{thing}。",
                "老板给{him}看了{thing}。",
                "{he}比较了{thing}的价格。",
                "市场上都在谈论{thing}。",
                "{he}花钱买下了{thing}。",
            ],
        },
    ],
    facts: &[
        "{person}住在{city}，在{company}工作。",
        "{company}从{city}聘请了{person}。",
        "去年{company}派{person}去了{city}。",
        "在{city}，{company}的老板遇见了{person}。",
        "在{city}长大的{person}管理着{company}。",
        "{person}离开{company}，回到了{city}。",
        "{company}在{city}的办公楼是{person}建的。",
        "{city}的人都知道{person}创办了{company}。",
        "{person}搬到{city}，进入了{company}。",
        "在{company}干了十年以后，{person}在{city}买了房子。",
    ],
    questions: [
        &[
            "谁住在{city}？",
            "谁在{company}工作？",
            "这里说的是谁？",
            "谁在这里？",
        ],
        &[
            "{he}住在哪里？",
            "{company}在哪里？",
            "{he}在哪里？",
            "这是在哪里？",
        ],
        &[
            "哪家公司在{city}？",
            "{he}在哪家公司工作？",
            "这里说的是哪家公司？",
            "这是哪家公司？",
        ],
    ],
    answers: ["是{person}。", "在{city}。", "是{company}。"],
    judgements: &[
        "{thing}又{opinion}又{opinion}。",
        "大家都说{thing}很{opinion}，真{opinion}。",
        "{he}认为{thing}很{opinion}，也很{opinion}。",
        "这{thing}真{opinion}，实在{opinion}。",
        "{he}觉得{thing}太{opinion}太{opinion}了。",
        "对{him}来说{thing}非常{opinion}，非常{opinion}。",
        "多么{opinion}、多么{opinion}的{thing}！",
        "{thing}看起来很{opinion}，而且很{opinion}。",
    ],
    feelings: ["爱", "恨"],
    degrees: ["挺", "够"],
    reasons: &[
        "{he}{felt}{thing}，因为{it}{very}{opinion}。",
        "大家都{felt}这{very}{opinion}的{thing}。",
        "{thing}{very}{opinion}，{he}{felt}{it}。",
        "人们{felt}{thing}：{very}{opinion}，{very}{opinion}！",
        "{he}{felt}这一天，因为{thing}{very}{opinion}。",
    ],
    endings: [
        &[
            "{he}笑着感谢了大家。",
            "{he}希望下次再来。",
            "{he}对这一天很满意。",
            "{he}告诉朋友自己多么喜欢。",
        ],
        &[
            "{he}投诉并要求退钱。",
            "{he}以后再也不来了。",
            "{he}对这一天很生气。",
            "{he}警告朋友自己多么后悔。",
        ],
    ],
    ambiguous: &[
        Ambiguous {
            word: "苹果",
            senses: [
                Sense {
                    meaning: "水果",
                    topic: "food",
                    frames: &[
                        "{he}吃了一个红苹果。",
                        "厨师把苹果切成小块。",
                        "{he}用苹果做了甜汤。",
                        "桌上放着苹果和茶。",
                        "服务员给{him}端来了苹果汁。",
                        "{he}把苹果洗干净再吃。",
                        "{he}吃着苹果喝茶。",
                        "厨师用红苹果做了点心。",
                    ],
                },
                Sense {
                    meaning: "公司",
                    topic: "business",
                    frames: &[
                        "苹果发布了新手机。",
                        "{he}买了苹果的股票。",
                        "苹果的软件在市场上卖得很贵。",
                        "老板和苹果签了合同。",
                        "苹果给{him}寄来了新电脑。",
                        "会议上{he}介绍了苹果的产品。",
                        "苹果在市场上发布了新电脑。",
                        "{he}比较了苹果手机的价格。",
                    ],
                },
            ],
        },
        Ambiguous {
            word: "杜鹃",
            senses: [
                Sense {
                    meaning: "鸟，在歌里",
                    topic: "music",
                    frames: &[
                        "歌里唱到一只杜鹃在叫。",
                        "{he}听见杜鹃唱歌。",
                        "杜鹃的叫声像一段旋律。",
                        "一只杜鹃飞过舞台。",
                        "{he}唱起了杜鹃飞来的歌。",
                        "杜鹃叫的时候音乐停了。",
                        "{he}听见一只杜鹃在叫。",
                        "杜鹃的歌声像旋律。",
                    ],
                },
                Sense {
                    meaning: "花",
                    topic: "nature",
                    frames: &[
                        "山坡上开满了红色的杜鹃。",
                        "花园里的杜鹃开了。",
                        "{he}摘下一朵杜鹃。",
                        "导游指着杜鹃的花叶。",
                        "雨后的杜鹃长出新叶。",
                        "{he}给杜鹃浇了水。",
                        "花园里开满了杜鹃。",
                        "{he}摘下红色的杜鹃花叶。",
                    ],
                },
            ],
        },
    ],
};
